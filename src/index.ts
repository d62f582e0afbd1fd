/**
 * Keeps an Effect application signed in to an API.
 *
 * @since 0.1.0
 */
export * as Auth from "./Auth.js"
export * as AuthHttpClient from "./client/AuthHttpClient.js"
export * as AuthError from "./common/AuthError.js"
export * as Moment from "./common/Moment.js"
export * as AuthProvider from "./provider/AuthProvider.js"
export * as Credentials from "./provider/Credentials.js"
export * as Protocol from "./provider/Protocol.js"
export * as Freddy from "./providers/Freddy.js"
export * as OAuth2 from "./providers/OAuth2.js"
export * as TeleTracker from "./providers/TeleTracker.js"
export * as Violet from "./providers/Violet.js"
export * as Renewal from "./renewal/Renewal.js"
export * as Status from "./session/machine/Status.js"
export * as Session from "./session/Session.js"
export * as TokenStore from "./store/TokenStore.js"
export * as AuthMetrics from "./telemetry/AuthMetrics.js"
export * as SessionMap from "./tenants/SessionMap.js"
export * as RenewalPolicy from "./token/RenewalPolicy.js"
export * as Token from "./token/Token.js"
