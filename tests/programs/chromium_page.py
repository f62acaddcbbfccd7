"""A page that fetches 60 files at once, 3 times, and reports how many arrived intact. Prints its
port, and then the report."""

import hashlib
import http.server

PAGE = b"""<!doctype html><script>
const hex = b => [...new Uint8Array(b)].map(x => x.toString(16).padStart(2, '0')).join('');
async function one(n, round) {
    const answer = await fetch(`/file/${n}?${round}`);
    const sum = hex(await crypto.subtle.digest('SHA-256', await answer.arrayBuffer()));
    return sum === answer.headers.get('X-Sum') ? 1 : 0;
}
(async () => {
    let right = 0;
    for (let round = 0; round < 3; round++)
        for (const r of await Promise.all([...Array(60).keys()].map(n => one(n, round)))) right += r;
    await fetch('/report', {method: 'POST', body: `${right} files compared`});
})();
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, **headers):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/file/"):
            number = int(self.path[6:].split("?")[0])
            body = bytes((number * i + i // 256) & 255 for i in range(1000 * number))
            self.answer(body, X_Sum=hashlib.sha256(body).hexdigest())
        else:
            self.answer(PAGE, Content_Type="text/html")

    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.answer(b"")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
