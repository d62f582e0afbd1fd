/**
 * Entries for the laws of stores, and what is said about them.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Entry, StoredEntry, Version } from "../../store/TokenStore.js"

/**
 * A version; without a revision, the first of its generation.
 *
 * @since 0.1.0
 * @category testing
 */
export const version = (generation: number, revision = 0): Version => ({ generation, revision })

/**
 * The contents of a version where a law is not about contents; each differs from every other.
 *
 * @since 0.1.0
 * @category testing
 */
export const contentsOf = ({ generation, revision }: Version): string => `contents of ${generation}.${revision}`

/**
 * An entry of a version.
 *
 * @since 0.1.0
 * @category testing
 */
export const entry = (version: Version, contents = contentsOf(version)): Entry => ({
  ...version,
  contents: Redacted.make(contents)
})

/**
 * A version in the words of a broken law.
 *
 * @since 0.1.0
 * @category testing
 */
export const told = ({ generation, revision }: Version): string => `version ${generation}.${revision}`

/**
 * A text in the words of a broken law: how long it is, and both its ends.
 *
 * @since 0.1.0
 * @category testing
 */
export const excerpt = (text: string): string =>
  `${text.length} characters, ${JSON.stringify(text.length > 60 ? `${text.slice(0, 40)}...${text.slice(-20)}` : text)}`

/**
 * What is kept in the words of a broken law.
 *
 * @since 0.1.0
 * @category testing
 */
export const toldStoredEntry = (kept: Option.Option<StoredEntry>): string =>
  Option.match(kept, {
    onNone: () => "it keeps nothing",
    onSome: (kept) => `it keeps ${told(kept)} with ${excerpt(Redacted.value(kept.contents))}`
  })

/**
 * Whether exactly this is kept.
 *
 * @since 0.1.0
 * @category testing
 */
export const isExactly = (kept: Option.Option<StoredEntry>, version: Version, contents: string): boolean =>
  Option.exists(
    kept,
    (kept) =>
      kept.generation === version.generation &&
      kept.revision === version.revision &&
      Redacted.value(kept.contents) === contents
  )
