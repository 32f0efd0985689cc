"""The messages of a chat: checked, and in the one shape that every template knows."""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.inferd.errors import ApiError, bad_request


def messages(given: dict[str, Any]) -> list[Any]:
    """The conversation so far.

    Raises:
        ApiError: 400 with the place and what must be there.
    """
    found = given.get("messages")
    if found is None:
        raise bad_request("`messages` is missing.", param="messages", code="missing_field")
    if not isinstance(found, list) or not found:
        raise bad_request("`messages` must be a list of at least one message.", param="messages")
    return [_checked(message, index) for index, message in enumerate(found)]


def _checked(given: Any, index: int) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(given, dict):
        raise bad_request(f"`{where}` must be an object.", param=where)
    message: dict[str, Any] = given
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        raise bad_request(f"`{where}.role` must be a text.", param=f"{where}.role")
    if role == "developer":
        # OpenAI's newer name; templates of open models know only the older one.
        message = {**message, "role": "system"}
    if content is None and (message.get("tool_calls") or role == "assistant"):
        return message
    if isinstance(content, list):
        return {**message, "content": "\n".join([_text(part, where) for part in content])}
    if not isinstance(content, str):
        raise bad_request(f"`{where}.content` must be a text.", param=f"{where}.content")
    return message


def _text(part: Any, where: str) -> str:
    # Pictures and sounds would make the engine open what they point at.
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    if not isinstance(text, str):
        raise bad_request(f"`{where}.content` may hold text only.", param=f"{where}.content")
    return text


def tools(given: dict[str, Any]) -> dict[str, Any]:
    """The functions that the model may call, as fields of the engine's request.

    Raises:
        ApiError: 400 with the place and what must be there.
    """
    found, choice = given.get("tools"), given.get("tool_choice")
    if not found or choice == "none":
        return {}
    for index, tool in enumerate(found):
        _check_tool(tool, f"tools[{index}]")
    if isinstance(choice, dict):
        # llama.cpp takes a named function for `auto`; the only tool that must be used is the same.
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        found = [tool for tool in found if tool["function"]["name"] == name]
        if not found:
            raise bad_request("`tool_choice` names no function of `tools`.", param="tool_choice")
        choice = "required"
    if choice not in (None, "auto", "required"):
        raise bad_request(
            "`tool_choice` must be `none`, `auto`, `required`, or a function.", param="tool_choice"
        )
    return {"tools": found, "tool_choice": choice or "auto"}


def _check_tool(tool: Any, where: str) -> None:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type") != "function":
        raise bad_request(
            f'`{where}` must be {{"type": "function", "function": {{...}}}}.', param=where
        )
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise bad_request(f"`{where}.function.name` is missing.", param=f"{where}.function.name")
    if not isinstance(function.get("parameters", {}), dict):
        raise bad_request(
            f"`{where}.function.parameters` must be a JSON schema.",
            param=f"{where}.function.parameters",
        )


def response_format(given: dict[str, Any]) -> dict[str, Any] | None:
    """The form that the answer must have, as the engine understands it; None for free text.

    Raises:
        ApiError: 400, a form that is not known, or without its schema.
    """
    form = given["response_format"]
    kind, nested = form.get("type"), form.get("json_schema")
    if kind == "text":
        return None
    if kind not in ("json_object", "json", "json_schema"):
        raise _wrong_format("`response_format.type` must be text, json_object or json_schema.")
    # OpenAI nests the schema with its name; others send it bare, Hugging Face's client as a value.
    named = nested if isinstance(nested, dict) else {}
    schema = next((one for one in _schemas(form, named) if one is not None), None)
    if schema is None and kind == "json_object":
        return {"type": "json_object"}
    if not isinstance(schema, dict):
        raise _wrong_format("`response_format.json_schema.schema` must be an object.")
    name = named.get("name") or "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


def _schemas(form: dict[str, Any], named: dict[str, Any]) -> tuple[Any, Any, Any]:
    return named.get("schema"), form.get("schema"), form.get("value")


def _wrong_format(message: str) -> ApiError:
    return bad_request(message, param="response_format")
