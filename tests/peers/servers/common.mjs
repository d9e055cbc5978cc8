// What the servers share: packages from the folder that scripts/test installs, a free port, and the doors for the tests.
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { resolve } = createRequire(path.join(process.env.RENEWD_PEERS, 'package.json'));

/** Imports an installed package, wherever this file stands. */
export const peer = (name) => import(pathToFileURL(resolve(name)));

/** Listens on a free port of 127.0.0.1. Requests are not answered before `serve` is called. */
export async function listen() {
  const server = http.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

/**
 * Serves `/_test/NAME?ARGUMENT=VALUE` from `doors` (functions of the arguments that give JSON), all else from `handler`,
 * and says so.
 */
export function serve({ server, url }, handler, doors) {
  server.on('request', async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, url);
    if (!pathname.startsWith('/_test/')) return handler(request, response);
    try {
      const answer = await doors[pathname.slice('/_test/'.length)](Object.fromEntries(searchParams));
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer ?? null));
    } catch (error) {
      response.writeHead(500).end(JSON.stringify({ error: String(error?.stack ?? error) }));
    }
  });
  console.log(`listening on ${url}`);
}

export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
