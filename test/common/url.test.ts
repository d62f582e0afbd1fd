import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Option } from "effect"
import * as Url from "../../src/common/url.js"

const origins = [
  "https://violet.test",
  "https://violet.test:8443",
  "http://localhost",
  "http://127.0.0.1:3000",
  "http://[::1]:3000",
  // What only a provider that someone wrote by hand could say: none of these is the origin of any URL.
  "",
  "null",
  "/",
  "//",
  "https:",
  "https:/",
  "https://",
  "https:///",
  "http://violet.test:80",
  "HTTPS://VIOLET.test",
  "https://violet.test/",
  "https://violet.test/v1",
  "https://violet.test?",
  "https://violet.test#",
  "https://violet.test\\",
  " https://violet.test",
  "https://violet.test\t",
  "https://user@violet.test",
  "https://user:pw@violet.test",
  "https://vio%6Cet.test",
  "blob:https://violet.test",
  "file://",
  "data:",
  "violet://",
  "violet://api"
]

const within = Url.within(origins)

/** What a parser of URLs treats as something special, and what may be mistaken for it. */
const hostile = FastCheck.oneof(
  FastCheck.constantFrom(
    ...["/", "//", "\\", "@", ":", ":8443", ":80", ":443", "?", "#", ".", "..", "%2f", "%40", "%00", "\t", "\n", "\r"],
    ...[
      " ",
      "\0",
      "\x1f",
      "\u3002",
      "\uff0f",
      "\uff20",
      "\ud800",
      "\u00ad",
      "[",
      "]",
      "|",
      "^",
      "evil.test",
      ".evil.test"
    ],
    ...[
      "@evil.test",
      ":@evil.test",
      "\\evil.test",
      "//evil.test",
      "https://evil.test",
      "blob:",
      "https:",
      "v1",
      "orders"
    ]
  ),
  FastCheck.constantFrom(...origins),
  FastCheck.string({ maxLength: 3, unit: "binary" })
)

const hostileUrl = FastCheck.oneof(
  FastCheck.array(hostile, { maxLength: 6 }).map((parts) => parts.join("")),
  FastCheck.tuple(FastCheck.constantFrom(...origins), FastCheck.array(hostile, { maxLength: 6 })).map(
    ([origin, rest]) => [origin, ...rest].join("")
  )
)

describe("whose a URL is", () => {
  it.prop(
    "law 23: what is told from the first characters is what a parser says",
    [hostileUrl],
    ([url]) => {
      if (!within(url)) return
      assert.isTrue(URL.canParse(url), JSON.stringify(url))
      assert.include(origins, Url.originOf(new URL(url)))
    },
    { fastCheck: { numRuns: 20_000 } }
  )

  it.prop(
    "law 23: the same of each origin by itself",
    [FastCheck.constantFrom(...origins), hostileUrl],
    ([origin, url]) => {
      if (!Url.within([origin])(url)) return
      assert.strictEqual(Url.originOf(new URL(url)), origin)
    },
    { fastCheck: { numRuns: 20_000 } }
  )

  it.prop(
    "law 23: what follows an origin and a slash leads nowhere else",
    [FastCheck.array(hostile)],
    ([parts]) => {
      const url = `https://violet.test/${parts.join("")}`
      assert.isTrue(within(url))
      assert.strictEqual(new URL(url).host, "violet.test")
    },
    { fastCheck: { numRuns: 5000 } }
  )

  it("the usual form of an origin is told by its first characters, anything else is not", () => {
    const reported = origins.filter((origin) => within(`${origin}/orders`))
    assert.deepStrictEqual(reported, [
      "https://violet.test",
      "https://violet.test:8443",
      "http://localhost",
      "http://127.0.0.1:3000",
      "http://[::1]:3000",
      "https://violet.test/",
      "https://violet.test/v1",
      "file://",
      "violet://",
      "violet://api"
    ])
    for (const url of [
      "https://violet.test",
      "https://violet.test?a",
      "HTTPS://violet.test/",
      " https://violet.test/"
    ]) {
      assert.isFalse(within(url), url)
      assert.isTrue(Option.isSome(Url.resolve(url, new URL("https://violet.test/v1/"))))
    }
  })
})
