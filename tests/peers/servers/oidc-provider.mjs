// oidc-provider (a certified OpenID provider and OAuth 2.0 server) with short lives, rotation and reuse detection.
//
// doors: seed?client=ID            a first refresh token, as after somebody's consent
//        log                       the token endpoint's exchanges so far
//        hold?ms=N                 from now on, keep each finished token reply back that long
//        held                      how many replies are being kept back
//        verify?token=T&resource=R whether a JWT access token is signed by this server, for R, and alive
import { listen, peer, serve, sleep } from './common.mjs';

const { default: Provider, errors } = await peer('oidc-provider');
const { createLocalJWKSet, jwtVerify, exportJWK, generateKeyPair } = await peer('jose');

const TTL = Number(process.env.TTL ?? 10);
const REFRESH_TTL = Number(process.env.REFRESH_TTL ?? 30);
const RESOURCE = 'https://api.example.com/v1';
const SCOPES = ['api:read', 'api:write'];

const here = await listen();
const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
const key = { alg: 'RS256', use: 'sig', kid: 'one' };
const jwks = { keys: [{ ...(await exportJWK(privateKey)), ...key }] };
const known = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), ...key }] });

const machine = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
const person = {
  redirect_uris: ['https://app.example.com/back'],
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token'],
};
const basic = { token_endpoint_auth_method: 'client_secret_basic' };
const post = { token_endpoint_auth_method: 'client_secret_post' };
// Each character that RFC 6749 (2.3.1) wants encoded before Basic, a colon above all.
const HARD = 's3:cr+t %41&/=?~*"\\';

const clients = [
  { client_id: 'machine:basic+1 %', client_secret: HARD, ...machine, ...basic },
  { client_id: 'machine-body', client_secret: HARD, ...machine, ...post },
  { client_id: 'machine-resource', client_secret: 'secret-3', scope: 'api:read', ...machine, ...basic },
  { client_id: 'person-basic', client_secret: HARD, ...person, ...basic },
  { client_id: 'person-body', client_secret: 'secret-5', ...person, ...post },
  { client_id: 'person-resource', client_secret: 'secret-6', ...person, ...basic },
  { client_id: 'person-public', ...person, token_endpoint_auth_method: 'none' },
  // Asks about tokens, as an API that receives them would.
  { client_id: 'judge', client_secret: 'judge', ...machine, ...basic },
];

const provider = new Provider(here.url, {
  clients,
  jwks,
  scopes: ['openid', 'offline_access', ...SCOPES],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => false,
      getResourceServerInfo(ctx, resource) {
        if (resource !== RESOURCE) throw new errors.InvalidTarget();
        return { scope: SCOPES.join(' '), audience: RESOURCE, accessTokenFormat: 'jwt', accessTokenTTL: TTL };
      },
    },
  },
  rotateRefreshToken: true,
  ttl: { AccessToken: TTL, ClientCredentials: TTL, RefreshToken: REFRESH_TTL, Grant: 3600 },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

const log = [];
let hold = 0;
let held = 0;

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path !== '/token') return;
  const exchange = {
    at: Date.now(),
    client: ctx.oidc?.client?.clientId,
    grant: ctx.oidc?.params?.grant_type,
    scope: ctx.oidc?.params?.scope,
    auth: ctx.headers.authorization ? 'basic' : 'body',
    status: ctx.status,
    error: ctx.body?.error,
    why: ctx.body?.error_description,
  };
  log.push(exchange);
  ctx.res.on('finish', () => {
    exchange.sent = Date.now();
  });
  if (hold) {
    held += 1;
    await sleep(hold);
    held -= 1;
  }
});

async function seed({ client: clientId }) {
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ accountId: 'somebody', clientId });
  grant.addOIDCScope('openid offline_access');
  const forResource = clientId === 'person-resource';
  if (forResource) grant.addResourceScope(RESOURCE, SCOPES.join(' '));
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId: 'somebody',
    client,
    grantId,
    gty: 'authorization_code',
    scope: forResource ? ['offline_access', ...SCOPES].join(' ') : 'openid offline_access',
    resource: forResource ? RESOURCE : undefined,
  });
  return token.save();
}

async function verify({ token, resource }) {
  const options = { issuer: here.url, audience: resource, typ: 'at+jwt' };
  return jwtVerify(token, known, options).then(
    ({ payload }) => ({ active: true, ...payload }),
    (error) => ({ active: false, why: error.message }),
  );
}

serve(here, provider.callback(), {
  seed,
  verify,
  log: () => log,
  held: () => held,
  hold: ({ ms }) => {
    hold = Number(ms);
  },
});
