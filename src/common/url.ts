import * as Option from "effect/Option"

/** A URL taken below a base one. What has a scheme is absolute, so that `https:evil.test` is no path. */
export const resolve = (url: string, base: URL): Option.Option<URL> =>
  // `./` keeps the colon of `/orders:search` in a path, and the base's own path before it.
  Option.orElse(mayBeAbsolute.test(url) ? parse(url) : Option.none(), () =>
    parse(url.replace(/^\/(?![/\\])/, "./"), base)
  )

/** A scheme, after what a parser of URLs passes over. */
const mayBeAbsolute = /^[^/?#]*:/

const parse = (url: string, base?: URL): Option.Option<URL> =>
  URL.canParse(url, base) ? Option.some(new URL(url, base)) : Option.none()

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** Whether secrets may be sent there: https, or http that does not leave the machine. */
export const isConfidential = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || (protocol === "http:" && loopback.test(hostname))

/**
 * Tells from its first characters whether a URL is of one of these origins; there are others of which only parsing them
 * tells. A parser ends the origin at the first slash after it, whatever follows.
 */
export const within = (origins: ReadonlyArray<string>): ((url: string) => boolean) => {
  // Only in its usual form: `https:` would end at the slash of `https://evil.test`.
  const prefixes = origins
    .filter((origin) => Option.contains(Option.map(parse(origin), originOf), origin))
    .map((origin) => `${origin}/`)
  return (url) => prefixes.some((prefix) => url.startsWith(prefix))
}

/** Not `url.origin`: for `blob:https://…` that is the origin of the URL within. */
export const originOf = ({ host, protocol }: URL): string => `${protocol}//${host}`
