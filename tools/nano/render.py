"""The hybrid chat template as spans with a loss flag, for making training rows.

Called by train.py, make_tokenizer.py and check_data.py (which compares the joined spans with the tokenizer's own Jinja template).
Mirrors ../../models/nano/tokenizer_config.json's chat_template for conversations that end in an assistant turn. Standard library only.

Loss: the last run of assistant turns is trained from where generation starts (after "assistant\\n" when thinking, after the empty
think block otherwise). Earlier turns are trained from their second token on: at inference their first position is followed by a think
block that the template has dropped since, so it would teach the wrong start.
"""
import json

TOOLS_HEAD = ("# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within "
              "<tools></tools> XML tags:\n<tools>")
TOOLS_TAIL = ("\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML "
              "tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n")

NONE, ALL, SKIP_FIRST = 0, 1, 2  # loss on a span: nothing, every token, all but its first token


def _dumps(value):
    return json.dumps(value, ensure_ascii=False)


def _calls(message, content):
    out = ""
    for i, call in enumerate(message.get("tool_calls") or []):
        call = call.get("function", call)
        if i > 0 or content:
            out += "\n"
        arguments = call["arguments"]
        out += '<tool_call>\n{"name": "' + call["name"] + '", "arguments": ' + (arguments if isinstance(arguments, str) else _dumps(arguments)) + "}\n</tool_call>"
    return out


def spans(sample):
    """[(text, loss flag)] of a whole conversation whose last message is the assistant's."""
    messages, tools, thinking = sample["messages"], sample.get("tools"), sample["thinking"]
    last_query = max(i for i, m in enumerate(messages) if m["role"] == "user")
    out = []
    if tools:
        system = messages[0]["content"] + "\n\n" if messages[0]["role"] == "system" else ""
        out.append(("<|im_start|>system\n" + system + TOOLS_HEAD + "".join("\n" + _dumps(t) for t in tools) + TOOLS_TAIL, NONE))
    elif messages[0]["role"] == "system":
        out.append(("<|im_start|>system\n" + messages[0]["content"] + "<|im_end|>\n", NONE))
    for i, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role == "user" or (role == "system" and i > 0):
            out.append(("<|im_start|>" + role + "\n" + content + "<|im_end|>\n", NONE))
        elif role == "assistant":
            reasoning = message.get("reasoning_content", "")
            text = content + _calls(message, content) + "<|im_end|>"
            block = i > last_query and (i == len(messages) - 1 or reasoning)
            out.append(("<|im_start|>assistant\n", NONE))
            if block and thinking:
                out.append(("<think>\n" + reasoning + "\n</think>\n\n" + text, ALL))
            elif block:
                out += [("<think>\n\n</think>\n\n", NONE), (text, ALL)]
            else:
                out.append((text, SKIP_FIRST))
            out.append(("\n", NONE))
        elif role == "tool":
            first, last = messages[i - 1]["role"] != "tool", messages[i + 1]["role"] != "tool"
            out.append((("<|im_start|>user" if first else "") + "\n<tool_response>\n" + content + "\n</tool_response>" + ("<|im_end|>\n" if last else ""), NONE))
    return out


def encode(tokenizer, sample):
    """(ids, loss flags) with `tokenizers.Tokenizer`; the text is encoded whole, so that merges are those of inference."""
    parts = spans(sample)
    encoding = tokenizer.encode("".join(p[0] for p in parts), add_special_tokens=False)
    flags, edges, at = [], [], 0
    for text, loss in parts:
        edges.append((at, at + len(text), loss))
        at += len(text)
    span = 0
    fresh = True
    for start, _ in encoding.offsets:
        while start >= edges[span][1]:
            span, fresh = span + 1, True
        loss = edges[span][2]
        flags.append(1 if loss == ALL or (loss == SKIP_FIRST and not fresh) else 0)
        fresh = False
    return encoding.ids, flags
