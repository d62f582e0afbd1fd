import { Misconfigured } from "../../common/AuthError.js"

const problem = "the layer of this session has closed"

/** What is answered once a session, or the map that it was in, has closed. */
export const hasClosed = (field: string): Misconfigured => new Misconfigured({ field, problem })

/** Whether a failure only says that. */
export const isClosing = (u: unknown): boolean => u instanceof Misconfigured && u.problem === problem
