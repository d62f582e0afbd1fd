import type * as Moment from "../common/Moment.js"

/**
 * The synchronous interface of the in-memory store. It cannot block, so it needs no timeout; its lease owners live in this
 * process, so leases need no heartbeat and no expiry.
 */
export interface SynchronousStore<A> {
  readonly load: (key: string, now: Moment.Moment) => { readonly entry: A; readonly age: number } | undefined
  readonly save: (key: string, entry: A, now: Moment.Moment) => boolean
  readonly lease: (key: string, owner: string, now: Moment.Moment) => boolean
  readonly release: (key: string, owner: string) => void
}

const registered = new WeakMap<object, { readonly methods: object; readonly synchronous: unknown }>()

/** Registers the synchronous interface of a store. It is not a property of the store: a copy with a slow method is another store. */
export const register = <A, S extends object>(store: S, synchronous: SynchronousStore<A>): S => {
  registered.set(store, { methods: { ...store }, synchronous })
  return store
}

/** Returns the synchronous interface of a store, unless one of its methods was replaced since, as a spy does. */
export const of = <A>(store: object): SynchronousStore<A> | undefined => {
  const found = registered.get(store)
  const isUnchanged =
    found && Object.entries(found.methods).every(([name, method]) => Reflect.get(store, name) === method)
  return isUnchanged ? (found.synchronous as SynchronousStore<A>) : undefined
}
