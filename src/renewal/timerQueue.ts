/**
 * What is to be done when: a binary heap of moments, the first one on top, in which each item has one place at most. Equal
 * moments come in no particular order.
 */
export class Agenda<A> {
  private readonly items: Array<A> = []
  private readonly moments: Array<number> = []
  private readonly places = new Map<A, number>()

  /** The item whose moment comes first. */
  get first(): A | undefined {
    return this.items[0]
  }

  /** That moment; never, if there is none. */
  get at(): number {
    return this.moments[0] ?? Number.POSITIVE_INFINITY
  }

  all(): ReadonlyArray<A> {
    return this.items.slice()
  }

  /** Puts an item at a moment, in place of the one it had; answers whether it is the first one now. */
  put(item: A, moment: number): boolean {
    const place = this.places.get(item) ?? this.items.length
    const before = this.moments[place] ?? Number.POSITIVE_INFINITY
    this.settle(place, item, moment)
    if (moment < before) this.rise(place)
    else this.sink(place)
    return this.items[0] === item
  }

  remove(item: A): void {
    const place = this.places.get(item)
    if (place === undefined) return
    this.places.delete(item)
    const last = this.items.pop()
    const moment = this.moments.pop()
    if (last === undefined || moment === undefined || last === item) return
    this.settle(place, last, moment)
    this.rise(place)
    this.sink(this.places.get(last) ?? place)
  }

  private moment(place: number): number {
    return this.moments[place] ?? Number.POSITIVE_INFINITY
  }

  private settle(place: number, item: A, moment: number): void {
    this.items[place] = item
    this.moments[place] = moment
    this.places.set(item, place)
  }

  private swap(one: number, other: number): void {
    const [a, b] = [this.items[one] as A, this.items[other] as A]
    const [x, y] = [this.moment(one), this.moment(other)]
    this.settle(one, b, y)
    this.settle(other, a, x)
  }

  private rise(place: number): void {
    for (let at = place; at > 0; ) {
      const above = (at - 1) >> 1
      if (this.moment(above) <= this.moment(at)) return
      this.swap(above, at)
      at = above
    }
  }

  private sink(place: number): void {
    for (let at = place; ; ) {
      const left = 2 * at + 1
      const below = this.moment(left + 1) < this.moment(left) ? left + 1 : left
      if (this.moment(at) <= this.moment(below)) return
      this.swap(at, below)
      at = below
    }
  }
}
