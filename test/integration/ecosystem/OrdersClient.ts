import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { ParseError } from "effect/ParseResult"
import * as S from "effect/Schema"

export class ListOrdersParams extends S.Struct({
  "page": S.optionalWith(S.Int.pipe(S.greaterThanOrEqualTo(1)), { nullable: true }),
  "size": S.optionalWith(S.Int.pipe(S.greaterThanOrEqualTo(1), S.lessThanOrEqualTo(100)), { nullable: true })
}) {}

export class Order extends S.Class<Order>("Order")({
  "id": S.Int,
  "name": S.String
}) {}

export class Page extends S.Class<Page>("Page")({
  "content": S.Array(Order),
  "page": S.Int,
  "last": S.Boolean
}) {}

export class Problem extends S.Class<Problem>("Problem")({
  "error": S.String,
  "error_description": S.optionalWith(S.String, { nullable: true })
}) {}

export const make = (
  httpClient: HttpClient.HttpClient, 
  options: {
    readonly transformClient?: ((client: HttpClient.HttpClient) => Effect.Effect<HttpClient.HttpClient>) | undefined
  } = {}
): OrdersClient => {
  const unexpectedStatus = (response: HttpClientResponse.HttpClientResponse) =>
    Effect.flatMap(
      Effect.orElseSucceed(response.json, () => "Unexpected status code"),
      (description) =>
        Effect.fail(
          new HttpClientError.ResponseError({
            request: response.request,
            response,
            reason: "StatusCode",
            description: typeof description === "string" ? description : JSON.stringify(description),
          }),
        ),
    )
  const withResponse: <A, E>(
    f: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, E>,
  ) => (
    request: HttpClientRequest.HttpClientRequest,
  ) => Effect.Effect<any, any> = options.transformClient
    ? (f) => (request) =>
        Effect.flatMap(
          Effect.flatMap(options.transformClient!(httpClient), (client) =>
            client.execute(request),
          ),
          f,
        )
    : (f) => (request) => Effect.flatMap(httpClient.execute(request), f)
  const decodeSuccess =
    <A, I, R>(schema: S.Schema<A, I, R>) =>
    (response: HttpClientResponse.HttpClientResponse) =>
      HttpClientResponse.schemaBodyJson(schema)(response)
  const decodeError =
    <const Tag extends string, A, I, R>(tag: Tag, schema: S.Schema<A, I, R>) =>
    (response: HttpClientResponse.HttpClientResponse) =>
      Effect.flatMap(
        HttpClientResponse.schemaBodyJson(schema)(response),
        (cause) => Effect.fail(OrdersClientError(tag, cause, response)),
      )
  return {
    httpClient,
    "listOrders": (options) => HttpClientRequest.get(`/orders`).pipe(
    HttpClientRequest.setUrlParams({ "page": options?.["page"] as any, "size": options?.["size"] as any }),
    withResponse(HttpClientResponse.matchStatus({
      "2xx": decodeSuccess(Page),
      "400": decodeError("Problem", Problem),
      orElse: unexpectedStatus
    }))
  ),
  "placeOrder": (options) => HttpClientRequest.post(`/echo`).pipe(
    HttpClientRequest.bodyUnsafeJson(options),
    withResponse(HttpClientResponse.matchStatus({
      "2xx": decodeSuccess(Order),
      orElse: unexpectedStatus
    }))
  )
  }
}

export interface OrdersClient {
  readonly httpClient: HttpClient.HttpClient
  /**
* A page of orders
*/
readonly "listOrders": (options?: typeof ListOrdersParams.Encoded | undefined) => Effect.Effect<typeof Page.Type, HttpClientError.HttpClientError | ParseError | OrdersClientError<"Problem", typeof Problem.Type>>
  readonly "placeOrder": (options: typeof Order.Encoded) => Effect.Effect<typeof Order.Type, HttpClientError.HttpClientError | ParseError>
}

export interface OrdersClientError<Tag extends string, E> {
  readonly _tag: Tag
  readonly request: HttpClientRequest.HttpClientRequest
  readonly response: HttpClientResponse.HttpClientResponse
  readonly cause: E
}

class OrdersClientErrorImpl extends Data.Error<{
  _tag: string
  cause: any
  request: HttpClientRequest.HttpClientRequest
  response: HttpClientResponse.HttpClientResponse
}> {}

export const OrdersClientError = <Tag extends string, E>(
  tag: Tag,
  cause: E,
  response: HttpClientResponse.HttpClientResponse,
): OrdersClientError<Tag, E> =>
  new OrdersClientErrorImpl({
    _tag: tag,
    cause,
    response,
    request: response.request,
  }) as any
