"""An AWS on this machine: MiniStack, with what deployments of Tollgate need and it lacks.

emulator.py PORT PROXY_PORT FOLDER serves AWS on PORT, with IAM enforced, and its deployed APIs through an HTTPS proxy on
PROXY_PORT (see proxy.py). It ends when its standard input closes, and takes the functions that it has started with it: however a
test ends, nothing is left running. It has to lead a process group of its own for that.
"""

import copy
import json
import os
import signal
import sys
import threading
import time
import urllib.parse

REGION = "us-east-1"


def configure(port, folder):
    """MiniStack reads its settings when it is imported."""
    os.environ.update(
        AUTH="true",
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        # APIs are called by the names that AWS gives them.
        MINISTACK_HOST=f"{REGION}.amazonaws.com",
        # Neither listens on a port that is free for sure, and neither is needed.
        IOT_MTLS_ENABLED="false",
        SFTP_ENABLED="false",
        TMPDIR=folder,
        # Functions call AWS by this variable; they must not go through the proxy.
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        NO_PROXY="127.0.0.1",
    )


def end_with_the_test():
    """Waits until the test closes the pipe, then ends this process and its functions."""
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def resolve_functions_in_conditions():
    """Conditions with Fn::Sub and Fn::Split: MiniStack resolves those in resources only."""
    from ministack.services.cloudformation import changesets, engine, handlers, stacks

    evaluate = engine._evaluate_conditions

    def evaluate_resolved(template, parameters):
        conditions = copy.deepcopy(template.get("Conditions", {}))
        resolved = engine._resolve_refs(conditions, {}, parameters, {}, template.get("Mappings", {}), "", "")
        return evaluate({**template, "Conditions": resolved}, parameters)

    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = evaluate_resolved


def see_changes_of_conditions():
    """A change set has the resources that a condition switches on or off: MiniStack compares the others only."""
    from ministack.services.cloudformation import changesets

    resolve = changesets._resolve_props_for_diff

    def resolve_existing(template, parameters, stack, stack_id):
        resolved = resolve(template, parameters, stack, stack_id)
        conditions = changesets._evaluate_conditions(template or {}, parameters)
        resources = resolved.get("Resources", {}).items()
        return {"Resources": {name: it for name, it in resources if conditions.get(it.get("Condition"), True)}}

    changesets._resolve_props_for_diff = resolve_existing


def accept_internal_extensions():
    """Functions register as an extension of themselves, to hear of their end. MiniStack has no such API."""
    from ministack.core.lambda_runtime import ProvidedWorker

    build = ProvidedWorker._build_handler_class

    def build_with_extensions(worker, generation, pending):
        class Handler(build(worker, generation, pending)):
            def do_POST(self):
                if not self.path.endswith("/extension/register"):
                    return super().do_POST()
                self._read_body()
                body = b'{"functionName": "function", "functionVersion": "1", "handler": "bootstrap"}'
                self.send_response(200)
                self.send_header("Lambda-Extension-Identifier", "extension")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if not self.path.endswith("/extension/event/next"):
                    return super().do_GET()
                while not worker._stopping and generation == worker._generation:
                    time.sleep(0.2)
                self._stopped()

        return Handler

    ProvidedWorker._build_handler_class = build_with_extensions


def tell_policies_what_calls_are_about():
    """The values' KMS key asks for an encryption context, and the authorizer's role for the items' keys. MiniStack looks at neither."""
    from ministack.core import iam_actions

    context_of = iam_actions.request_tag_context

    def context_with_more(service, action, body, parameters):
        context = dict(context_of(service, action, body, parameters) or {})
        if service == "kms":
            pairs = json.loads(body or b"{}").get("EncryptionContext") or {}
            context.update({f"kms:EncryptionContext:{name}": value for name, value in pairs.items()})
        if service == "dynamodb":
            call = json.loads(body or b"{}")
            item = call.get("Key") or call.get("Item") or {}
            if "pk" in item:
                context["dynamodb:LeadingKeys"] = [item["pk"]["S"]]
        return context

    iam_actions.request_tag_context = context_with_more


def _route_key(path, method):
    if path == "$default":
        return path
    return ("ANY" if method == "x-amazon-apigateway-any-method" else method.upper()) + " " + path


def _routes(document):
    """The routes of an OpenAPI document, with their operations."""
    for path, methods in document.get("paths", {}).items():
        for method, operation in methods.items():
            yield _route_key(path, method), operation


def _made(answer, name):
    """The id that an operation of MiniStack has answered."""
    status, _, body = answer
    assert status < 300, body
    return json.loads(body)[name]


def _authorization(apis, api, name, scheme):
    """What a route under a security scheme is authorized by."""
    if scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
        return {"authorizationType": "AWS_IAM"}
    authorizer = dict(scheme["x-amazon-apigateway-authorizer"])
    authorizer.update(name=name, authorizerType=authorizer.pop("type").upper())
    return {"authorizationType": "CUSTOM", "authorizerId": _made(apis._create_authorizer(api, authorizer), "authorizerId")}


def _import_document(apis, api, document):
    """Makes an API's routes those of an OpenAPI document."""
    for store in (apis._routes, apis._integrations, apis._authorizers):
        store[api] = {}
    schemes = document.get("components", {}).get("securitySchemes", {})
    schemes = {name: _authorization(apis, api, name, scheme) for name, scheme in schemes.items()}
    for route_key, operation in _routes(document):
        integration = operation["x-amazon-apigateway-integration"]
        integration = {
            "integrationType": integration["type"].upper(),
            "integrationUri": integration["uri"],
            "integrationMethod": integration["httpMethod"],
            "payloadFormatVersion": integration["payloadFormatVersion"],
        }
        target = _made(apis._create_integration(api, integration), "integrationId")
        route = {"routeKey": route_key, "target": f"integrations/{target}"}
        for name in (name for requirement in operation.get("security", []) for name in requirement):
            route.update(schemes.get(name, {}))
        _made(apis._create_route(api, route), "routeId")


def _named(properties):
    """An API's properties with what its OpenAPI document says of it."""
    info = properties.get("Body", {}).get("info", {})
    return {"Name": info.get("title"), "Description": info.get("description", ""), **properties}


def _check_routes(settings, route_keys):
    """As AWS does: https://github.com/aws/serverless-application-model/issues/1939"""
    for key in settings or {}:
        if key not in route_keys:
            raise ValueError(f"Unable to find Route by key {key} within the provided RouteSettings")


def import_open_api_documents():
    """HTTP APIs of SAM come as an OpenAPI document, of which MiniStack makes nothing."""
    from ministack.services import apigateway as apis
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    create, update = handlers["create"], handlers["update"]

    def create_with_document(logical_id, properties, stack):
        api, attributes = create(logical_id, _named(properties), stack)
        _import_document(apis, api, properties.get("Body", {}))
        return api, attributes

    def update_with_document(api, old, new, stack, logical_id=None):
        document = new.get("Body", {})
        route_keys = {key for key, _ in _routes(document)}
        for stage in apis._stages.get(api, {}).values():
            _check_routes(stage.get("routeSettings"), route_keys)
        answer = update(api, _named(old), _named(new), stack, logical_id)
        _import_document(apis, api, document)
        return answer

    handlers.update(create=create_with_document, update=update_with_document)


def keep_settings_of_routes():
    """Settings of a route outlive the template that made them: AWS removes them by DeleteRouteSettings only.

    See https://github.com/serverless/serverless/pull/8590 and terraform-provider-aws, which calls it for that reason.
    """
    from ministack.services import apigateway as apis
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Stage"]
    create, update = handlers["create"], handlers["update"]
    handle_request = apis.handle_request

    def checked(properties):
        route_keys = {route["routeKey"] for route in apis._routes.get(properties["ApiId"], {}).values()}
        _check_routes(properties.get("RouteSettings"), route_keys)
        return properties

    def create_checked(logical_id, properties, stack):
        return create(logical_id, checked(properties), stack)

    def update_merged(name, old, new, stack, logical_id=None):
        kept = apis._stages[new["ApiId"]][name].get("routeSettings") or {}
        merged = {**kept, **(new.get("RouteSettings") or {})}
        return update(name, old, checked({**new, "RouteSettings": merged}), stack, logical_id)

    async def handle_with_deletion(method, path, headers, body, query):
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        if method != "DELETE" or parts[3:4] != ["stages"] or parts[5:6] != ["routesettings"]:
            return await handle_request(method, path, headers, body, query)
        settings = apis._stages.get(parts[2], {}).get(parts[4], {}).get("routeSettings", {})
        # A route key holds a slash.
        if settings.pop("/".join(parts[6:]), None) is None:
            return apis._apigw_error("NotFoundException", "Unable to find RouteSettings", 404)
        return 204, {}, b""

    handlers.update(create=create_checked, update=update_merged)
    apis.handle_request = handle_with_deletion


def main():
    port, proxy_port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    # MiniStack reads the command line as well.
    del sys.argv[1:]
    threading.Thread(target=end_with_the_test, daemon=True).start()
    configure(port, folder)
    resolve_functions_in_conditions()
    see_changes_of_conditions()
    accept_internal_extensions()
    tell_policies_what_calls_are_about()
    import_open_api_documents()
    keep_settings_of_routes()
    import proxy

    proxy.start(proxy_port, port, folder, REGION)
    from ministack.app import main as serve

    serve()


if __name__ == "__main__":
    main()
