// oauth2-mock-server (JWT access tokens, any client) made to tell the expiry in each of the ways that servers have, and to
// hold each refresh token to a single use. The client's name says which way.
//
// doors: seed?client=ID  a first refresh token
//        log             the token endpoint's exchanges so far
//        verify?token=T  whether this server issued T and it is alive
import { listen, peer, serve } from './common.mjs';

const { OAuth2Issuer, OAuth2Service } = await peer('oauth2-mock-server');
const { createLocalJWKSet, jwtVerify } = await peer('jose');

const LIFE = Number(process.env.TTL ?? 10);

/** What becomes of the reply, by the client's name. */
const manners = {
  'plain': (body) => body,
  'text-expiry': (body) => ({ ...body, expires_in: String(LIFE) }),
  'float-expiry': (body) => ({ ...body, expires_in: LIFE + 0.5 }),
  'jwt-only': ({ expires_in, ...body }) => body,
  'opaque': ({ expires_in, ...body }) => ({ ...body, access_token: opaque() }),
  'keeps-refresh': ({ refresh_token, ...body }) => body,
};

const here = await listen();
const issuer = new OAuth2Issuer();
issuer.url = here.url;
await issuer.keys.generate('ES256');
const service = new OAuth2Service(issuer);
const known = createLocalJWKSet({ keys: issuer.keys.toJSON() });

const log = [];
/** The refresh token that each client may use next. */
const next = new Map();
/** Ends of tokens that tell none. */
const ends = new Map();

function opaque() {
  const token = crypto.randomUUID();
  ends.set(token, Date.now() + LIFE * 1000);
  return token;
}

const formDecoded = (text) => decodeURIComponent(text.replaceAll('+', ' '));

function who(request) {
  const [scheme, pair] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Basic') return { auth: 'body', client: request.body.client_id, secret: request.body.client_secret };
  // RFC 6749, 2.3.1: both are form-encoded before they are joined.
  const [client, secret] = Buffer.from(pair, 'base64').toString().split(':').map(formDecoded);
  return { auth: 'basic', client, secret };
}

service.on('beforeTokenSigning', ({ payload }) => {
  payload.exp = payload.iat + LIFE;
  payload.jti = crypto.randomUUID();
});

service.on('beforeResponse', (reply, request) => {
  const { client, secret, auth } = who(request);
  const { grant_type: grant, refresh_token: spent, scope, audience } = request.body;
  const manner = client?.replace(/^(machine|person)-/, '');
  if (secret !== `secret of ${client}`) {
    Object.assign(reply, { statusCode: 401, body: { error: 'invalid_client' } });
  } else if (grant === 'refresh_token' && next.get(client) !== spent) {
    Object.assign(reply, { statusCode: 400, body: { error: 'invalid_grant' } });
  } else {
    reply.body = manners[manner]({ ...reply.body, expires_in: LIFE });
    if (reply.body.refresh_token) next.set(client, reply.body.refresh_token);
  }
  const { statusCode: status, body: { error } } = reply;
  log.push({ at: Date.now(), client, auth, grant, scope, audience, status, error });
});

async function verify({ token }) {
  if (ends.has(token)) return { active: ends.get(token) > Date.now() };
  return jwtVerify(token, known, { issuer: here.url }).then(
    () => ({ active: true }),
    (error) => ({ active: false, why: error.message }),
  );
}

serve(here, service.requestHandler, {
  seed({ client }) {
    next.set(client, crypto.randomUUID());
    return next.get(client);
  },
  verify,
  log: () => log,
});
