// A certified OpenID Connect provider. Arguments: its port, and the address of the service.
// Anybody can sign in, with the name as the subject and any password.
import { Provider } from "oidc-provider";

const [port, service] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  claims: { openid: ["sub"], profile: ["name"], roles: ["roles"] },
  clients: [{
    client_id: "slipway",
    client_secret: "s3cret+/",
    redirect_uris: [`${service}/sign-in/callback`],
    post_logout_redirect_uris: [`${service}/sign-in`],
  }],
  cookies: { keys: ["not secret"] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `${sub} Lovelace`, roles: [sub === "Ada" ? "editor" : "guest"] }),
  }),
  scopes: ["openid", "profile", "roles"],
});
// Its own pages load a font from elsewhere.
provider.use(async (context, next) => {
  await next();
  if (typeof context.body === "string") context.body = context.body.replace(/@import [^;]*;/, "");
});
provider.listen(port, "127.0.0.1", () => console.log("ready"));
