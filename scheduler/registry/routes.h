// The registry's HTTP routes. What is passed in must outlive the server.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "scheduler/http/router.h"
#include "scheduler/registry/blob_store.h"
#include "scheduler/registry/model_store.h"

namespace tutti::registry {

// The finished models as the ledger has them now. Called on server threads.
using ModelRecords = std::function<std::shared_ptr<const std::vector<ModelRecord>>()>;

// HEAD, GET, PUT /api/v1/blobs/{digest}. PUT takes `X-Tutti-Link: /abs/path` from this machine in
// place of a body.
void RegisterBlobRoutes(http::Router& router, const BlobStore& blobs);
// GET /api/v1/models, /api/v1/models/{model}, /api/v1/models/{model}/files/{path...}.
void RegisterModelRoutes(http::Router& router, const ModelStore& models, ModelRecords records);

// The model object of the API.
nlohmann::json ModelJson(const ModelRecord& record, const fs::path& directory);

}  // namespace tutti::registry
