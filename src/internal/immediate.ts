/**
 * What answers without waiting for anything, as memory does, so that nobody has to watch over it. Kept apart from the things
 * themselves: a copy of one with something slow in it is not one of them.
 */
const immediate = new WeakSet<object>()

export const make = <A extends object>(thing: A): A => {
  immediate.add(thing)
  return thing
}

export const is = (thing: object): boolean => immediate.has(thing)
