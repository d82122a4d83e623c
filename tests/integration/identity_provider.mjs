// A real OpenID Connect provider (panva's certified oidc-provider) for the tests: whoever logs in with a known
// name and any password is let in. Settings come as JSON in the first argument.
import { Provider } from "oidc-provider";

const { port, client, people, lifetimes } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [{ ...client, grant_types: ["authorization_code"], response_types: ["code"] }],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups", "organisation"] },
  cookies: { keys: ["only-for-tests"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  ttl: { AccessToken: 60, IdToken: 60, Interaction: 60, Session: 60, Grant: 60, ...lifetimes },
  findAccount: (_context, id) =>
    people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
});

provider.listen(port, "127.0.0.1", () => console.log("listening"));
