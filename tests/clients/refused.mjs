// Node's HTTP client and a service that refuses requests: head first, body later, over kept connections. See refused.py.
import { readFileSync } from 'node:fs';
import http from 'node:http';

const { base, cases } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const count = Number(process.argv[3]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

// A kept socket that fails between two requests has no request that could report it.
let stray = '';
process.on('uncaughtException', (error) => { stray ||= error.message; });

function send(given, body) {
  return new Promise((resolve, reject) => {
    const headers = { ...given.headers, 'content-length': body.length };
    const request = http.request(base + given.path, { method: given.method, headers, agent, timeout: 20_000 });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no response')));
    request.on('response', (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => resolve([response.statusCode, Buffer.concat(pieces).toString()]));
    });
    request.flushHeaders();
    setTimeout(() => request.end(body), 1);
  });
}

for (const given of cases) {
  const body = Buffer.from(given.body.repeat(given.times));
  let whole = 0;
  let tried = 0;
  let missed = '';
  while (tried < count) {
    try {
      const [status, text] = await send(given, body);
      const { code } = JSON.parse(text);
      if (status === given.besides) continue;
      if (stray) throw new Error(stray);
      if (status === given.status && code === given.code) whole += 1;
      else missed ||= `${status} ${code}`;
    } catch (error) {
      missed ||= `${error.code ?? ''} ${error.message}`.trim();
      stray = '';
    }
    tried += 1;
  }
  console.log(['Node', given.status, whole, tried, missed].join('\t'));
}
agent.destroy();
