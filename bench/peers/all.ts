import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import type { Server } from "../Server.js"
import { axiosAuthRefresh } from "./axios.js"
import { azure, azureBare } from "./azure.js"
import { badgateway } from "./badgateway.js"
import { documented } from "./documented.js"
import { google } from "./google.js"
import type { Make, Peer, World } from "./Peer.js"
import { simpleOAuth2 } from "./simple.js"
import { smithy } from "./smithy.js"
import { supabase } from "./supabase.js"
import { twurple } from "./twurple.js"

export const makes: Readonly<Record<string, Make>> = {
  "the class of Violet's documentation": documented,
  "google-auth-library": google,
  "@azure/core-rest-pipeline": azure,
  "@azure/core-rest-pipeline, its bearer policy alone": azureBare,
  "@badgateway/oauth2-client": badgateway,
  "axios-auth-refresh": axiosAuthRefresh,
  "@smithy/core": smithy,
  "@supabase/auth-js": supabase,
  "simple-oauth2": simpleOAuth2,
  "@twurple/auth": twurple
}

/** Serves on loopback. The server does not keep the process alive. */
const serve = async (send: World["send"]): Promise<string> => {
  const http = createServer(async (request, response) => {
    const body = await text(request)
    const url = new URL(request.url ?? "/", "http://127.0.0.1")
    // One peer sends in the query what all others send in the body.
    const sent = { url: url.pathname, authorization: request.headers.authorization, body: body || url.search.slice(1) }
    const { body: responseBody, status } = await send(sent)
    response.writeHead(status, { "content-type": "application/json" }).end(responseBody)
  })
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done))
  http.unref()
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`
}

export interface Made extends Peer {
  readonly server: Server
}

/** Makes each peer, over a server of its own. */
export const all = async (
  server: () => Server,
  lifetime: World["lifetime"],
  send: (server: Server) => World["send"]
): Promise<ReadonlyArray<readonly [name: string, peer: Made]>> => {
  const made: Array<readonly [string, Made]> = []
  for (const [name, make] of Object.entries(makes)) {
    const own = server()
    const world = { server: own, send: send(own), lifetime }
    made.push([name, { ...(await make({ ...world, address: await serve(world.send) })), server: own }])
  }
  return made
}

/** A transport that responds at once. */
export const atOnce =
  (server: Server): World["send"] =>
  async (sent) =>
    server.handle(sent)
