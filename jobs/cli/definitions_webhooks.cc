// `tutti webhook`: who is told when jobs come into a state.
#include "jobs/cli/definitions.h"

namespace tutti::cli {

void DefineWebhooks(Definitions& d) {
  auto* webhook =
      d.Add(&d.app, "webhook", "Tell others of jobs: create list test delete secret", "Cluster");
  webhook->require_subcommand(1);

  auto* create =
      d.Add(webhook, "create", "POST to an address whenever a job ends; prints its secret");
  auto made = std::make_shared<WebhookOptions>();
  create
      ->add_option("URL", made->url, "http or https; Slack's and what understands its messages too")
      ->required()
      ->type_name("");
  create
      ->add_option("--on", made->on,
                   "States to tell of, with commas (default: succeeded,failed,cancelled)")
      ->delimiter(',')
      ->type_name("STATES");
  create->add_option("--name", made->name, "For people");
  d.On(create, [made](Context& c) { return WebhookCreate(c, *made); });

  d.On(d.Add(webhook, "list", "List webhooks, what waits for them and how the last try went"),
       WebhookList);

  auto* test = d.Add(webhook, "test", "Send it a message now; exit 1 if it does not take it");
  auto tested = std::make_shared<std::string>();
  test->add_option("WEBHOOK", *tested, "Its id, name or address")->required()->type_name("");
  d.On(test, [tested](Context& c) { return WebhookTest(c, *tested); });

  auto* remove = d.Add(webhook, "delete", "Delete webhooks, and what waits for them");
  auto gone = std::make_shared<std::vector<std::string>>();
  remove->add_option("WEBHOOK", *gone, "Their ids, names or addresses")->required()->type_name("");
  d.On(remove, [gone](Context& c) { return WebhookDelete(c, *gone); });

  d.On(d.Add(webhook, "secret", "Print what the webhooks of your own jobs are signed with"),
       WebhookSecret);
}

}  // namespace tutti::cli
