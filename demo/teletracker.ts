/** The API of TeleTracker in the demo. */
import { Layer } from "effect"
import { TeleTracker } from "../src/index.js"
import * as TeleTrackerSandbox from "../src/testing/TeleTrackerSandbox.js"
import type { Api } from "./Api.js"
import { paged } from "./paged.js"
import { credentials, patience, user } from "./user.js"

export const teletracker: Api = {
  name: "teletracker",
  // Its clock is two hours wrong, which must not matter.
  sandbox: ({ lifetime }) => TeleTrackerSandbox.make({ ...user, lifetime, pages: 25, clockOffset: 7_200_000 }),
  layerSandbox: (baseUrl) => TeleTracker.layer({ baseUrl, patience }).pipe(Layer.provide(credentials)),
  isTokenRequest: (path) => path.includes("/auth/"),
  ...paged("/calls")
}
