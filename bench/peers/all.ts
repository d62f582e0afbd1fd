import type { Measured } from "../measure.js"

export const reading = async (_short: boolean): Promise<Measured> => ({})
