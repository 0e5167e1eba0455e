# A mail server on a free port: it says that, and then each mail as a line of JSON. Its arguments are how it
# speaks TLS (off, starttls, implicit), a certificate and a key.
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({
            'from': envelope.mail_from, 'to': envelope.rcpt_tos, 'text': mail.get_content(),
            'headers': [[name.lower(), str(value)] for name, value in mail.items()],
            'defects': [str(defect) for defect in mail.defects],
            'encrypted': session.ssl is not None or sys.argv[1] == 'implicit',
        }), flush=True)
        return '250 taken'

def login(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b'bell', b'secret')
    return AuthResult(success=known, handled=known)

async def main():
    tls, options = sys.argv[1], {}
    context = None
    if tls != 'off':
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    if tls == 'starttls':
        options = dict(tls_context=context, require_starttls=True, authenticator=login,
                       auth_required=True)
    make = lambda: SMTP(Handler(), hostname='localhost', **options)
    encrypted = context if tls == 'implicit' else None
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0, ssl=encrypted)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
