import * as Schema from "effect/Schema"

/**
 * Reads the entry and the time. Versions are compared as numbers: those of Lua are doubles, exact for every safe integer. A
 * malformed entry is an error, and is left as it is.
 */
const read = `
local entry = redis.call('HMGET', KEYS[1], 'generation', 'revision', 'saved_at', 'contents')
local empty = redis.call('EXISTS', KEYS[1]) == 0
for i = 1, empty and 0 or 4 do
  local valid = entry[i] and (i == 4 or string.find(entry[i], '^%d+$') and tonumber(entry[i]) <= 9007199254740991)
  if not valid then return redis.error_reply('MALFORMED entry') end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** Returns generation, revision, contents and age in milliseconds, or nothing. */
export const load = `${read}
if empty then return false end
return { entry[1], entry[2], entry[4], now - entry[3] }
`

/** Decodes the reply of `load`. */
export const decodeEntry = Schema.decodeUnknownOption(
  Schema.NullOr(Schema.Tuple(Schema.NumberFromString, Schema.NumberFromString, Schema.String, Schema.Number))
)

/** Saves an entry. Returns 1 if its version is newer than the stored one, otherwise 0. */
export const save = `${read}
if not empty then
  local generation = tonumber(ARGV[1]) - tonumber(entry[1])
  local revision = tonumber(ARGV[2]) - tonumber(entry[2])
  if generation < 0 or generation == 0 and revision <= 0 then return 0 end
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'revision', ARGV[2], 'contents', ARGV[3],
  'saved_at', string.format('%.0f', now))
return 1
`

/** Acquires or extends a lease. Returns 1 if the owner has it now, otherwise 0. */
export const lease = `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`

/** Releases a lease, if the owner still has it. */
export const release = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
`

/** The problems that the server reports, by their documented codes. */
const serverProblems: Readonly<Record<string, string>> = {
  NOAUTH: "it asks for a password",
  WRONGPASS: "it refuses the user name or the password",
  NOPERM: "the user may not run this script on this key",
  READONLY: "it is a replica, and read-only",
  OOM: "its memory is full",
  MISCONF: "it cannot write its snapshots to disk",
  LOADING: "it is loading its data",
  BUSY: "it is busy with a script that does not end",
  CLUSTERDOWN: "the cluster is down",
  MASTERDOWN: "it has lost its master",
  NOREPLICAS: "it has too few replicas"
}

const documented = new RegExp(`\\b(${Object.keys(serverProblems).join("|")}|WRONGTYPE|MALFORMED)\\b`)

/** Describes a key whose value was not written by this library, or was damaged. */
export const wrongFormat = (name: string) =>
  `the value of the key ${name} is not in the format of this library (nothing was changed; remove it by hand to start over)`

/** Describes an error of the server by its code alone. */
export const problemOf = (message: string, name: string): string => {
  // Servers before 7 wrap the error of a script in one of their own.
  const code = documented.exec(message)?.[0] ?? "ERR"
  return code === "WRONGTYPE" || code === "MALFORMED"
    ? wrongFormat(name)
    : `${serverProblems[code] ?? "it refuses the command"} (${code})`
}
