// Serves the sandbox of Violet on a port of this machine, until it is stopped.
import { createServer } from "node:http"
import { HttpServer } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import * as VioletSandbox from "effect-auth/testing/VioletSandbox"

const port = Config.withDefault(Config.integer("PORT"), 8080)

const server = Layer.unwrapEffect(Effect.map(VioletSandbox.make(), ({ served }) => HttpServer.serve(served))).pipe(
  HttpServer.withLogAddress,
  Layer.provide(NodeHttpServer.layerConfig(createServer, { host: Config.succeed("127.0.0.1"), port }))
)

NodeRuntime.runMain(Layer.launch(server))
