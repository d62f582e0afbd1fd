/**
 * What the tests of an application need. As the sandboxes are among it, it needs `jsonwebtoken`; each module by a path of
 * its own, such as `effect-auth/testing/TestSession`, needs only what it uses.
 *
 * @since 0.1.0
 */
export * as Faults from "./Faults.js"
export * as FreddySandbox from "./FreddySandbox.js"
export * as OAuth2Sandbox from "./OAuth2Sandbox.js"
export * as StoreLaws from "./StoreLaws.js"
export * as TeleTrackerSandbox from "./TeleTrackerSandbox.js"
export * as TestProvider from "./TestProvider.js"
export * as TestSession from "./TestSession.js"
export * as VioletSandbox from "./VioletSandbox.js"
