/**
 * The modules for tests of an application. This entry point needs `jsonwebtoken`, because it includes the sandboxes.
 * Each module has its own path too, such as `effect-auth/testing/TestSession`, which needs only what that module uses.
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
