// The tables of webhooks: what administrators made, and messages that wait for their receivers;
// beside the journal and no part of it.
#include "scheduler/store/database.h"
#include "scheduler/store/store.h"

namespace tutti::store {

Status Store::PutWebhook(const StoredWebhook& webhook) {
  auto insert = db_->Prepare(
      "INSERT INTO webhooks(id, name, url, states, user, created_ms, after_seq) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
  insert.BindText(1, webhook.id).BindText(2, webhook.name).BindText(3, webhook.url);
  insert.BindText(4, webhook.on).BindText(5, webhook.user);
  insert.Bind(6, static_cast<std::uint64_t>(webhook.created.unix_ms));
  return insert.Bind(7, webhook.after_seq).Run();
}

Status Store::RemoveWebhook(std::string_view id) {
  Database::Transaction transaction(*db_);
  TUTTI_RETURN_IF_ERROR(transaction.Begin());
  auto waiting = db_->Prepare("DELETE FROM webhook_deliveries WHERE webhook = ?1");
  TUTTI_RETURN_IF_ERROR(waiting.BindText(1, id).Run());
  auto remove = db_->Prepare("DELETE FROM webhooks WHERE id = ?1");
  TUTTI_RETURN_IF_ERROR(remove.BindText(1, id).Run());
  return transaction.Commit();
}

Result<std::vector<StoredWebhook>> Store::Webhooks() {
  auto query = db_->Prepare(
      "SELECT id, name, url, states, user, created_ms, after_seq FROM webhooks "
      "ORDER BY created_ms, id");
  std::vector<StoredWebhook> webhooks;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return webhooks;
    webhooks.push_back({.id = std::string(query.Blob(0)),
                        .name = std::string(query.Blob(1)),
                        .url = std::string(query.Blob(2)),
                        .on = std::string(query.Blob(3)),
                        .user = std::string(query.Blob(4)),
                        .created = WallTime{static_cast<std::int64_t>(query.Integer(5))},
                        .after_seq = query.Integer(6)});
  }
}

Result<std::vector<StoredDelivery>> Store::Deliveries() {
  auto query = db_->Prepare(
      "SELECT id, webhook, url, user, body, tries FROM webhook_deliveries ORDER BY rowid");
  std::vector<StoredDelivery> deliveries;
  for (;;) {
    TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
    if (!row) return deliveries;
    deliveries.push_back({.id = std::string(query.Blob(0)),
                          .webhook = std::string(query.Blob(1)),
                          .url = std::string(query.Blob(2)),
                          .user = std::string(query.Blob(3)),
                          .body = std::string(query.Blob(4)),
                          .tries = query.Integer(5)});
  }
}

Result<std::optional<std::uint64_t>> Store::DeliveriesSeq() {
  auto query = db_->Prepare("SELECT seq FROM webhook_seq");
  TUTTI_ASSIGN_OR_RETURN(const bool row, query.Step());
  if (!row) return std::nullopt;
  return query.Integer(0);
}

Status Store::SaveDeliveries(std::uint64_t seq, std::span<const StoredDelivery> waiting,
                             std::span<const std::string> over) {
  Database::Transaction transaction(*db_);
  TUTTI_RETURN_IF_ERROR(transaction.Begin());
  for (const StoredDelivery& delivery : waiting) {
    auto put = db_->Prepare(
        "INSERT INTO webhook_deliveries(id, webhook, url, user, body, tries) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(id) DO UPDATE SET tries = ?6");
    put.BindText(1, delivery.id).BindText(2, delivery.webhook).BindText(3, delivery.url);
    put.BindText(4, delivery.user).BindText(5, delivery.body);
    TUTTI_RETURN_IF_ERROR(put.Bind(6, delivery.tries).Run());
  }
  for (const std::string& id : over) {
    auto remove = db_->Prepare("DELETE FROM webhook_deliveries WHERE id = ?1");
    TUTTI_RETURN_IF_ERROR(remove.BindText(1, id).Run());
  }
  auto seen = db_->Prepare(
      "INSERT INTO webhook_seq(id, seq) VALUES(1, ?1) ON CONFLICT(id) DO UPDATE SET seq = ?1");
  TUTTI_RETURN_IF_ERROR(seen.Bind(1, seq).Run());
  return transaction.Commit();
}

}  // namespace tutti::store
