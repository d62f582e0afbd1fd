/**
 * Entries for the checks of stores, and their descriptions in messages.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Entry, StoredEntry, Version } from "../../store/TokenStore.js"

/**
 * Makes a version. Without a revision it is the first of its generation.
 *
 * @since 0.1.0
 * @category testing
 */
export const version = (generation: number, revision = 0): Version => ({ generation, revision })

/**
 * Returns the contents of a version, for laws that are not about contents. Those of any two versions differ.
 *
 * @since 0.1.0
 * @category testing
 */
export const contentsOf = ({ generation, revision }: Version): string => `contents of ${generation}.${revision}`

/**
 * Makes an entry of a version.
 *
 * @since 0.1.0
 * @category testing
 */
export const entry = (version: Version, contents = contentsOf(version)): Entry => ({
  ...version,
  contents: Redacted.make(contents)
})

/**
 * Describes a version, for the message of a broken law.
 *
 * @since 0.1.0
 * @category testing
 */
export const describeVersion = ({ generation, revision }: Version): string => `version ${generation}.${revision}`

/**
 * Describes a text, for the message of a broken law: its length and both its ends.
 *
 * @since 0.1.0
 * @category testing
 */
export const excerpt = (text: string): string =>
  `${text.length} characters, ${JSON.stringify(text.length > 60 ? `${text.slice(0, 40)}...${text.slice(-20)}` : text)}`

/**
 * Describes the stored entry, for the message of a broken law.
 *
 * @since 0.1.0
 * @category testing
 */
export const describeEntry = (stored: Option.Option<StoredEntry>): string =>
  Option.match(stored, {
    onNone: () => "nothing is stored",
    onSome: (entry) => `${describeVersion(entry)} is stored with ${excerpt(Redacted.value(entry.contents))}`
  })

/**
 * Tells whether exactly this is stored.
 *
 * @since 0.1.0
 * @category testing
 */
export const isExactly = (stored: Option.Option<StoredEntry>, version: Version, contents: string): boolean =>
  Option.exists(
    stored,
    (entry) =>
      entry.generation === version.generation &&
      entry.revision === version.revision &&
      Redacted.value(entry.contents) === contents
  )
