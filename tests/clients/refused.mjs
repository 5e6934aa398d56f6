// Node's client before a service that refuses: the head first, the body later, on kept connections. See refused.py.
import { readFileSync } from 'node:fs';
import http from 'node:http';

const { base, cases } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const count = Number(process.argv[3]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

// A kept socket that fails between two requests has no request to tell.
let stray = '';
process.on('uncaughtException', (error) => { stray ||= error.message; });

function ask(given, body) {
  return new Promise((resolve, reject) => {
    const headers = { ...given.headers, 'content-length': body.length };
    const request = http.request(base + given.path, { method: given.method, headers, agent, timeout: 20_000 });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('response', (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('error', reject);
      answer.on('end', () => resolve([answer.statusCode, Buffer.concat(pieces).toString()]));
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
      const [status, text] = await ask(given, body);
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
