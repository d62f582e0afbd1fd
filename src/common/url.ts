import * as Option from "effect/Option"

/**
 * Resolves a URL against a base: a path goes below the base's own path. A URL with a scheme is absolute, so `https:evil.test`
 * is not a path. Returns `none` for text that is not a URL.
 */
export const resolve = (url: string, base: URL): Option.Option<URL> =>
  // `./` keeps the colon of `/orders:search` in a path, and the base's own path before it.
  Option.orElse(hasScheme.test(url) ? parse(url) : Option.none(), () => parse(url.replace(/^\/(?![/\\])/, "./"), base))

/** Matches a scheme. Anything may precede it, because URL parsers skip spaces and control characters. */
const hasScheme = /^[^/?#]*:/

const parse = (url: string, base?: URL): Option.Option<URL> =>
  URL.canParse(url, base) ? Option.some(new URL(url, base)) : Option.none()

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** Tells whether secrets may be sent to a URL: https, or http that does not leave the machine. */
export const isConfidential = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || (protocol === "http:" && loopback.test(hostname))

/**
 * Makes a quick test of whether a URL belongs to one of these origins. `true` is certain, because a parser ends the origin at
 * the first slash after it. After `false`, parse the URL: it may be relative or written in another way.
 */
export const within = (origins: ReadonlyArray<string>): ((url: string) => boolean) => {
  // Only origins in their usual form. `https:` would otherwise match up to the first slash of `https://evil.test`.
  const prefixes = origins
    .filter((origin) => Option.contains(Option.map(parse(origin), originOf), origin))
    .map((origin) => `${origin}/`)
  return (url) => prefixes.some((prefix) => url.startsWith(prefix))
}

/** Returns the origin of a URL. Not `url.origin`, which for `blob:https://…` is the origin of the inner URL. */
export const originOf = ({ host, protocol }: URL): string => `${protocol}//${host}`
