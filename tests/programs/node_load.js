// A server and 50 keep-alive clients in one process, every body compared; children at the same
// time, whose output is compared; timers, which must be neither early nor out of order; a watched
// directory.
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');
const { execFile } = require('child_process');
const crypto = require('crypto');

const REQUESTS = 5000;
const CLIENTS = 50;
const CHILDREN = 20;
const TIMERS = 300;
const FILES = 40;

const head = crypto.randomBytes(20000);
let served = 0;

const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => response.end(Buffer.concat([head, ...parts])));
});

function ask(agent, port, size) {
    return new Promise((resolve, reject) => {
        const sent = crypto.randomBytes(size);
        const request = http.request({ agent, port, host: '127.0.0.1', method: 'POST' }, (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('end', () => {
                if (!Buffer.concat(parts).equals(Buffer.concat([head, sent]))) reject(new Error('a body came back wrong'));
                served++;
                resolve();
            });
        });
        request.on('error', reject);
        request.end(sent);
    });
}

function child(i) {
    return new Promise((resolve, reject) =>
        execFile('sh', ['-c', `echo ${i}`], (error, out) =>
            error || out !== `${i}\n` ? reject(error || new Error('a child said something else')) : resolve()));
}

// Timers of equal length end in the order in which they were set.
function timers() {
    const last = new Map();
    let over = 0;
    return new Promise((resolve, reject) => {
        for (let i = 0; i < TIMERS; i++) {
            const length = 1 + (i * 37) % 150;
            const start = process.hrtime.bigint();
            setTimeout(() => {
                // The loop's clock counts whole milliseconds, so a timer may end one early.
                if (process.hrtime.bigint() - start < BigInt(length - 1) * 1000000n) reject(new Error('a timer is early'));
                if ((last.get(length) ?? -1) > i) reject(new Error('timers are out of order'));
                last.set(length, i);
                if (++over === TIMERS) resolve();
            }, length);
            if (i % 3 === 0) clearTimeout(setTimeout(() => reject(new Error('a timer that was cleared ends')), length));
        }
    });
}

// inotify: each created file is reported by its name.
async function watching() {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'watch'));
    const missing = new Set(Array.from({ length: FILES }, (_, i) => `file${i}`));
    let all;
    const told = new Promise((resolve) => (all = resolve));
    const watcher = fs.watch(directory, (event, name) => {
        missing.delete(name);
        if (missing.size === 0) all();
    });
    for (const name of [...missing]) await fs.promises.writeFile(path.join(directory, name), name);
    await told;
    watcher.close();
    fs.rmSync(directory, { recursive: true });
}

// A loop that is held up for longer than an idle connection may last (5 s) would close one whose next
// request has arrived already: its timers come first.
server.keepAliveTimeout = 0;

server.listen(0, '127.0.0.1', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
    let next = 0;
    await Promise.all([
        ...Array.from({ length: CLIENTS }, async () => {
            while (next < REQUESTS) await ask(agent, server.address().port, next++ % 5000);
        }),
        ...Array.from({ length: CHILDREN }, (_, i) => child(i)),
        timers(),
        watching(),
    ]);
    agent.destroy();
    server.close(() => console.log(`${process.version}: ${served} requests answered and compared, ${CHILDREN} children, ${TIMERS} timers, ${FILES} files told of`));
});
process.on('unhandledRejection', (error) => {
    console.error(error);
    process.exit(1);
});
