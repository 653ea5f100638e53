// Signs as the vendors do, by their own libraries: a JSON object in, the header's value out.

import { sign } from "@octokit/webhooks-methods";
import Stripe from "stripe";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const wanted = JSON.parse(text);

if (wanted.vendor === "github") {
  console.log(await sign(wanted.secret, wanted.payload));
} else {
  const { payload, secret, timestamp } = wanted;
  console.log(Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp }));
}
