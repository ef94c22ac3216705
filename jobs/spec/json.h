// A job's fields as JSON values, the form of ToJson and of the schema's defaults. Free functions,
// any thread.
#pragma once

#include <nlohmann/json.hpp>

#include "common/base/units.h"
#include "jobs/spec/fields.h"

namespace tutti::spec {

// The field's value as FromJson reads it; null for what is not set. `draft` is not changed.
// REQUIRES: IsPresent(field, draft); the field is no section.
nlohmann::json ValueOf(const Field& field, Draft& draft);

// A draft of defaults in which this field is present: with a LoraSpec for method.lora.r.
Draft DefaultsFor(const Field& field);

// What is a whole number stays one: "num_decay_steps": 6.
nlohmann::json JsonNumber(double value);

// "4GiB", "1536MiB", "1000": exact, in the largest binary unit that divides it.
std::string ExactBytes(Bytes bytes);

}  // namespace tutti::spec
