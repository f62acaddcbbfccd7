// An HTTP server whose answers are always the same bytes, so that they can be compared: prints its
// port.
const http = require('http');

const body = Buffer.alloc(1024, 'x');

const server = http.createServer((request, response) => {
    response.sendDate = false;
    response.setHeader('Content-Length', body.length);
    response.end(body);
});
server.keepAliveTimeout = 0; // no header that reports it
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
