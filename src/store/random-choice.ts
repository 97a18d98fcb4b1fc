/** Random choices among the elements of a collection, for HRANDFIELD, SRANDMEMBER, SPOP and ZRANDMEMBER. */

/** Elements in some order, each near by its place. */
export interface Choices<E> {
  readonly size: number;
  at(index: number): E | undefined;
  visit(visit: (element: E) => boolean | void): void;
}

/** A negative count may name so many elements at most: Redis would send them until its memory ends. */
export const REPEATS_MAX: number = 2 ** 24;

/** From this part of all on it is cheaper to walk over all of them than to look some up. */
const WALK_SHARE = 1 / 3;

export function choicesOf<E>(elements: readonly E[]): Choices<E> {
  return {
    size: elements.length,
    at: (index) => elements[index],
    visit: (visit) => void elements.every((element) => visit(element) !== false),
  };
}

/** One of them, all alike; undefined where there is none. */
export function chooseOne<E>(choices: Choices<E>, random: () => number): E | undefined {
  return choices.at(Math.floor(random() * choices.size));
}

/** `count` different ones, all of them where there are fewer. Their order says nothing. */
export function chooseDistinct<E>(choices: Choices<E>, count: number, random: () => number): E[] {
  const { size } = choices;
  const chosen: E[] = [];
  if (count < size * WALK_SHARE) {
    const places = new Set<number>();
    while (places.size < count) places.add(Math.floor(random() * size));
    for (const place of places) {
      const element = choices.at(place);
      if (element !== undefined) chosen.push(element);
    }
    return chosen;
  }
  // Of those that are left, as many as are still wanted: every choice is as likely as any other.
  let left = size;
  choices.visit((element) => {
    if (random() * left < count - chosen.length) chosen.push(element);
    left--;
    return chosen.length < count;
  });
  return chosen;
}

/** `count` times one of them. */
export function chooseRepeatedly<E>(choices: Choices<E>, count: number, random: () => number): E[] {
  const chosen: E[] = [];
  while (chosen.length < count) {
    const element = chooseOne(choices, random);
    if (element === undefined) break;
    chosen.push(element);
  }
  return chosen;
}
