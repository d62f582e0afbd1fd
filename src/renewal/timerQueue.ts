/**
 * A priority queue of items by due time: an indexed binary heap, in which each item has one place at most. Items with
 * the same due time come in no particular order.
 */
export class TimerQueue<A> {
  private readonly items: Array<A> = []
  private readonly dueTimes: Array<number> = []
  private readonly indices = new Map<A, number>()

  /** The item that is due first. */
  get first(): A | undefined {
    return this.items[0]
  }

  /** The due time of the first item; infinite if there is none. */
  get firstDue(): number {
    return this.dueTime(0)
  }

  /** Returns all items, in no particular order. */
  all(): ReadonlyArray<A> {
    return this.items.slice()
  }

  /** Sets the due time of an item, in place of an earlier one. Returns whether the item is the first one now. */
  set(item: A, due: number): boolean {
    const index = this.indices.get(item) ?? this.items.length
    const before = this.dueTime(index)
    this.place(index, item, due)
    if (due < before) this.siftUp(index)
    else this.siftDown(index)
    return this.items[0] === item
  }

  /** Removes an item, if it is in the queue. */
  remove(item: A): void {
    const index = this.indices.get(item)
    if (index === undefined) return
    this.indices.delete(item)
    const last = this.items.pop()
    const due = this.dueTimes.pop()
    if (last === undefined || due === undefined || last === item) return
    this.place(index, last, due)
    this.siftUp(index)
    this.siftDown(this.indices.get(last) ?? index)
  }

  private dueTime(index: number): number {
    return this.dueTimes[index] ?? Number.POSITIVE_INFINITY
  }

  private place(index: number, item: A, due: number): void {
    this.items[index] = item
    this.dueTimes[index] = due
    this.indices.set(item, index)
  }

  private swap(one: number, other: number): void {
    const [item, due] = [this.items[one] as A, this.dueTime(one)]
    this.place(one, this.items[other] as A, this.dueTime(other))
    this.place(other, item, due)
  }

  private siftUp(index: number): void {
    for (let current = index; current > 0; ) {
      const parent = (current - 1) >> 1
      if (this.dueTime(parent) <= this.dueTime(current)) return
      this.swap(parent, current)
      current = parent
    }
  }

  private siftDown(index: number): void {
    for (let current = index; ; ) {
      const left = 2 * current + 1
      const child = this.dueTime(left + 1) < this.dueTime(left) ? left + 1 : left
      if (this.dueTime(current) <= this.dueTime(child)) return
      this.swap(current, child)
      current = child
    }
  }
}
