/**
 * Contents and keys that a store may get wrong.
 *
 * @since 0.1.0
 */

/** Every character up to U+017F except NUL, which some engines cannot store. */
const characters = String.fromCharCode(...Array.from({ length: 0x17f }, (_, index) => index + 1))

/**
 * Contents that a store may cut, escape or change.
 *
 * @since 0.1.0
 * @category testing
 */
export const edgeContents: ReadonlyArray<string> = [
  "",
  " ",
  "\n",
  " \t leading and trailing \r\n",
  `'single' "double" \`back\` \\ \\n \\u0041 \${a} $1 %s %00 {0} ?; --`,
  '{"__proto__":{"x":1},"n":1e999}',
  "null",
  "0",
  "\ufeffa byte order mark",
  "\u2028\u2029\u0085\u200b\u202e",
  "\u00e9 e\u0301 \u4f60\u597d \u0395\u03bb \u{1f510} \u{1f468}\u200d\u{1f469}\u200d\u{1f467}",
  characters,
  ...[1, 255, 256, 1023, 4096, 65_535, 65_536].map((length) => "x".repeat(length)),
  ...[10_000, 65_536].map((length) => characters.repeat(Math.ceil(length / characters.length)).slice(0, length))
]

/**
 * Returns keys that may collide in a file system, a path, a URL, a pattern or an object, or with a store's own names.
 *
 * @since 0.1.0
 * @category testing
 */
export const edgeKeys = (key: string): ReadonlyArray<string> => [
  key,
  key.toUpperCase(),
  ` ${key}`,
  `${key} `,
  `${key}  `,
  `${key}.`,
  `.${key}`,
  `/${key}`,
  `${key}/`,
  `${key}//`,
  `${key}\\`,
  `${key}/x`,
  `${key}/../${key}/x/`,
  `../${key}`,
  `../../${key}`,
  `%2F${key}`,
  `${key}%2F`,
  `${key}%20`,
  `${key}+`,
  `${key}:x`,
  `${key}_x`,
  `${key}-x`,
  `${key}*`,
  `${key}?`,
  `${key}%`,
  `${key}'`,
  `${key}"`,
  `${key}\n`,
  `{${key}}`,
  ...["lock", "lease", "tmp", "json", "bak"].flatMap((name) => [`${key}.${name}`, `${key}:${name}`, `${name}:${key}`]),
  `__proto__${key}`,
  `__proto__/${key}`,
  `${key}\u00e9`,
  `${key}e\u0301`,
  `${key}E\u0301`,
  `${key}\u{1f510}`,
  `${key}\u{1f511}`,
  ...["a", "b", "A"].map((end) => `${key}${"k".repeat(499 - key.length)}${end}`),
  `${"\u4f60".repeat(500 - key.length)}${key}`
]

/**
 * Keys that every object or folder has by itself. Other checks use them too, so they are only read.
 *
 * @since 0.1.0
 * @category testing
 */
export const inheritedNames: ReadonlyArray<string> = [
  "",
  ".",
  "..",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty"
]
