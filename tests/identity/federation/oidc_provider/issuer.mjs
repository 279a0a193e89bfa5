// A plain OIDC provider on the loopback. Told by the environment: PORT, JWKS (a file of private keys, the first signs).
// It has an application, `siem`, and a program that people use, `console`; whoever logs in with any password is in the
// group `readers`.
import { readFileSync } from 'node:fs';

import { Provider } from 'oidc-provider';

const port = Number(process.env.PORT);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'Incident.Read.All Incident.Read';

const provider = new Provider(issuer, {
  jwks: JSON.parse(readFileSync(process.env.JWKS, 'utf8')),
  cookies: { keys: ['for tests'] },
  scopes: ['openid', ...scope.split(' ')],
  clientDefaults: { id_token_signed_response_alg: process.env.ALG },
  clients: [
    {
      client_id: 'siem',
      client_secret: 'a secret for tests',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    },
    {
      client_id: 'console',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    },
  ],
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, resource) => ({
        scope,
        audience: resource,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: process.env.ALG } },
      }),
    },
  },
  extraTokenClaims: (_context, token) => (token.accountId ? { groups: ['readers'] } : undefined),
});

provider.listen(port, '127.0.0.1', () => console.log('listening'));
