import { assert, it } from "@effect/vitest"
import * as Key from "../../src/store/key.js"

it("law 33: no two identities share a key", () => {
  const baseUrl = new URL("https://api.test/")
  assert.notStrictEqual(
    Key.identity({ name: "x", baseUrl }, "[s] alice"),
    Key.identity({ name: "x", baseUrl, scope: ["s"] }, "alice")
  )
})
