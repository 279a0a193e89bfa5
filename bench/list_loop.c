/* The floor under every list: its statement over the SQLite API, its rows written to the sockets that ask, and
   nothing around it. Whatever is asked for, the page is the answer.
   Arguments: port, store, statement, head of the page, then NAME=iNUMBER or NAME=tTEXT for each value. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 64, CHUNK_HEAD = 10, CHUNK = 65536 };

/* A chunk of HTTP: eight digits of its size, a line end, its bytes, and room for the next line end. */
static char chunk[CHUNK_HEAD + CHUNK + 2];
static size_t filled;

static void fail(const char *message)
{
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static int send_all(int socket, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = write(socket, bytes, size);
        if (sent <= 0)
            return 0;
        bytes += sent;
        size -= sent;
    }
    return 1;
}

static int flush(int socket)
{
    char head[CHUNK_HEAD + 1];
    unsigned size_of_chunk = filled;
    if (!filled)
        return 1;
    snprintf(head, sizeof head, "%08x\r\n", size_of_chunk);
    memcpy(chunk, head, CHUNK_HEAD);
    memcpy(chunk + CHUNK_HEAD + filled, "\r\n", 2);
    size_t size = CHUNK_HEAD + filled + 2;
    filled = 0;
    return send_all(socket, chunk, size);
}

static int put(int socket, const char *bytes, size_t size)
{
    while (size) {
        size_t some = size < CHUNK - filled ? size : CHUNK - filled;
        memcpy(chunk + CHUNK_HEAD + filled, bytes, some);
        filled += some;
        bytes += some;
        size -= some;
        if (filled == CHUNK && !flush(socket))
            return 0;
    }
    return 1;
}

static int answer(int socket, sqlite3_stmt *statement, const char *page_head)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    int good = send_all(socket, head, sizeof head - 1) && put(socket, page_head, strlen(page_head));
    for (int row = 0; good && sqlite3_step(statement) == SQLITE_ROW; row++)
        good = (!row || put(socket, ",", 1))
            && put(socket, sqlite3_column_blob(statement, 0), sqlite3_column_bytes(statement, 0));
    sqlite3_reset(statement);
    good = good && put(socket, "]}", 2) && flush(socket) && send_all(socket, "0\r\n\r\n", 5);
    filled = 0;
    return good;
}

static void bind_value(sqlite3_stmt *statement, char *value)
{
    char *equals = strchr(value, '=');
    *equals = 0;
    int place = sqlite3_bind_parameter_index(statement, value);
    if (equals[1] == 'i')
        sqlite3_bind_int64(statement, place, atoll(equals + 2));
    else
        sqlite3_bind_text(statement, place, equals + 2, -1, SQLITE_STATIC);
}

static int listen_at(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, CONNECTIONS))
        fail("the port is taken");
    return listener;
}

static void serve(int listener, sqlite3_stmt *statement, const char *page_head)
{
    struct pollfd asked[CONNECTIONS] = { { .fd = listener, .events = POLLIN } };
    char request[16384];
    int count = 1, one = 1;
    for (;;) {
        poll(asked, count, -1);
        for (int each = count - 1; each > 0; each--) {
            if (!asked[each].revents)
                continue;
            int socket = asked[each].fd;
            if (read(socket, request, sizeof request) <= 0 || !answer(socket, statement, page_head)) {
                close(socket);
                asked[each] = asked[--count];
            }
        }
        if (asked[0].revents && count < CONNECTIONS) {
            int socket = accept(listener, NULL, NULL);
            setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            asked[count++] = (struct pollfd){ .fd = socket, .events = POLLIN };
        }
    }
}

int main(int count, char **arguments)
{
    if (count < 5)
        return 2;
    sqlite3 *store;
    sqlite3_stmt *statement;
    signal(SIGPIPE, SIG_IGN);
    if (sqlite3_open_v2(arguments[2], &store, SQLITE_OPEN_READWRITE, NULL))
        fail(sqlite3_errmsg(store));
    sqlite3_exec(store, "PRAGMA cache_size = -65536", NULL, NULL, NULL);
    if (sqlite3_prepare_v2(store, arguments[3], -1, &statement, NULL))
        fail(sqlite3_errmsg(store));
    for (int each = 5; each < count; each++)
        bind_value(statement, arguments[each]);
    serve(listen_at(atoi(arguments[1])), statement, arguments[4]);
}
