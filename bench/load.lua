-- What wrk sends in one slice, and what it says of it at the end: one line of JSON.
-- Arguments, each NAME=VALUE: tokens (a file, one on each line), target (%d: an id), first, last, seed, body (%d: a
-- number that grows), method, delay_ms. A fixed request is left to wrk itself, which is then at its fastest.

local tokens, options, sent = {}, {}, 0

function init(args)
  for _, arg in ipairs(args) do
    local name, value = arg:match("^(%w+_?%w*)=(.*)$")
    options[name] = value
  end
  for token in io.lines(options.tokens) do
    tokens[#tokens + 1] = "Bearer " .. token
  end
  math.randomseed(tonumber(options.seed))
  wrk.method = options.method
  wrk.path = options.target
  wrk.headers["Authorization"] = tokens[1]
  if options.body then
    wrk.headers["Content-Type"] = "application/json"
  end
  if options.target:find("%%d") or #tokens > 1 or options.body then
    request = varied
  end
  if options.delay_ms then
    local mean = tonumber(options.delay_ms)
    delay = function() return math.random(0, 2 * mean) end
  end
end

-- The n-th request of a slice: the next token, an id at random.
function varied()
  sent = sent + 1
  local headers = { Host = wrk.headers["Host"], Authorization = tokens[sent % #tokens + 1] }
  local body = nil
  if options.body then
    headers["Content-Type"] = "application/json"
    body = options.body:format(sent)
  end
  local id = math.random(tonumber(options.first), tonumber(options.last))
  return wrk.format(options.method, options.target:format(id), headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"wrong_status":%d,"broken":%d,"timeouts":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
