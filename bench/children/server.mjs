import { createServer } from "node:http"

const server = createServer((_, response) => response.writeHead(200, { "content-type": "application/json" }).end("{}"))
server.listen(0, "127.0.0.1", () => process.send(server.address().port))
process.on("disconnect", () => process.exit(0))
