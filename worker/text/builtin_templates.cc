#include <array>

#include "worker/text/chat_format.h"

namespace tutti::text {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"chatml", "gemma", "llama-3", "mistral",
                                                    "zephyr"};

constexpr std::string_view kChatMl =
    R"({%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}
    {%- else %}
        {{- message['content'] + '<|im_end|>' }}
    {%- endif %}
    {{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %})";

constexpr std::string_view kGemma =
    R"({{- bos_token }}
{%- if messages and messages[0]['role'] == 'system' %}
    {{- raise_exception('System role not supported') }}
{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate') }}
    {%- endif %}
    {%- if message['role'] == 'assistant' %}
        {{- '<start_of_turn>model\n' }}
        {%- generation %}{{- message['content'] | trim + '<end_of_turn>' }}{%- endgeneration %}
    {%- else %}
        {{- '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim }}
        {{- '<end_of_turn>' }}
    {%- endif %}
    {{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<start_of_turn>model\n' }}
{%- endif %})";

constexpr std::string_view kLlama3 =
    R"({{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- message['content'] | trim + '<|eot_id|>' }}{%- endgeneration %}
    {%- else %}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %})";

// The system message stands before the first question, where it stays when more follow.
constexpr std::string_view kMistral =
    R"({{- bos_token }}
{%- set system = namespace(text='') %}
{%- set rest = messages %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system.text = messages[0]['content'] + '\n\n' %}
    {%- set rest = messages[1:] %}
{%- endif %}
{%- for message in rest %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('user and assistant must take turns') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + system.text + message['content'] + '[/INST]' }}
        {%- set system.text = '' %}
    {%- elif message['role'] == 'assistant' %}
        {%- generation %}{{- ' ' + message['content'] | trim + eos_token }}{%- endgeneration %}
    {%- else %}
        {{- raise_exception('only user, assistant and a first system are known') }}
    {%- endif %}
{%- endfor %})";

constexpr std::string_view kZephyr =
    R"({%- for message in messages %}
    {{- '<|' + message['role'] + '|>\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- message['content'] + eos_token }}{%- endgeneration %}
    {%- else %}
        {{- message['content'] + eos_token }}
    {%- endif %}
    {{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\n' }}
{%- endif %})";

}  // namespace

std::span<const std::string_view> BuiltInTemplateNames() { return kNames; }

std::optional<std::string_view> BuiltInTemplate(std::string_view name) {
  if (name == "chatml") return kChatMl;
  if (name == "gemma") return kGemma;
  if (name == "llama-3") return kLlama3;
  if (name == "mistral") return kMistral;
  if (name == "zephyr") return kZephyr;
  return std::nullopt;
}

}  // namespace tutti::text
