import type * as Moment from "../common/Moment.js"

/**
 * How a store in memory keeps things: without waiting for anything, so that nobody has to watch over it. Whoever has a lease
 * of it is alive, as both live in one process, and so it lasts until it is given back.
 */
export interface Immediate<A> {
  readonly load: (key: string, now: Moment.Moment) => { readonly entry: A; readonly age: number } | undefined
  readonly save: (key: string, entry: A, now: Moment.Moment) => boolean
  readonly lease: (key: string, owner: string, now: Moment.Moment) => boolean
  readonly release: (key: string, owner: string) => void
}

const known = new WeakMap<object, { readonly methods: object; readonly immediate: unknown }>()

/** Notes how a store works. Kept apart from it: a copy of it with something slow in it is another store. */
export const make = <A, S extends object>(store: S, immediate: Immediate<A>): S => {
  known.set(store, { methods: { ...store }, immediate })
  return store
}

/** How a store works, unless somebody has put other methods into it since, as those who spy on it do. */
export const of = <A>(store: object): Immediate<A> | undefined => {
  const found = known.get(store)
  const isItself = found && Object.entries(found.methods).every(([name, method]) => Reflect.get(store, name) === method)
  return isItself ? (found.immediate as Immediate<A>) : undefined
}
