/** The requests and responses of pages, which all these APIs have in the same form. */
import { HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Effect, Schema } from "effect"
import type { Api } from "./Api.js"

const Page = Schema.Struct({
  content: Schema.Array(Schema.Struct({ id: Schema.Number })),
  page: Schema.optional(Schema.Number),
  last: Schema.optional(Schema.Boolean)
})

export const paged = (path: string): Pick<Api, "page" | "readPage"> => ({
  page: (number) => HttpClientRequest.get(path, { urlParams: { page: number } }),
  readPage: (response) =>
    Effect.map(HttpClientResponse.schemaBodyJson(Page)(response), ({ content, last, page }) => ({
      number: page,
      items: content.length,
      last: last ?? content.length === 0
    }))
})
