import java.io.FileInputStream;
import java.io.FileReader;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.cert.TrustAnchor;
import java.util.Collections;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.est.CSRRequestResponse;
import org.bouncycastle.est.ESTAuth;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.ESTException;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.HttpAuth;
import org.bouncycastle.est.jcajce.ChannelBindingProvider;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseDefaultHostnameAuthorizer;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.jsse.BCSSLSocket;
import org.bouncycastle.jsse.provider.BouncyCastleJsseProvider;
import org.bouncycastle.openssl.PEMKeyPair;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.PKCS10CertificationRequestBuilder;
import org.bouncycastle.util.Store;

/**
 * Bouncy Castle's EST client as a command: HOST:PORT ANCHOR.pem OPERATION [REQUEST.der [IDENTITY.p12 [KEY.der]]].
 * Prints certificates in PEM, of csrattrs the object identifiers; writes a key that the server made to KEY.der; ends with 1
 * and the server's sentence when it is refused. EST_LABEL, EST_USER and EST_PASSWORD name a label and an account for Basic or
 * Digest. With EST_LINK_KEY, the request's private key in PEM, the request is made again and linked to the connection
 * (RFC 7030 section 3.5), which is TLS 1.2 by Bouncy Castle's own TLS then: Java's shows no tls-unique.
 */
public final class EstClient {
    private static final char[] PASSWORD = "changeit".toCharArray();
    private static final String LINK_KEY = System.getenv("EST_LINK_KEY");

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        if (LINK_KEY != null) {
            Security.addProvider(new BouncyCastleJsseProvider());
        }
        try {
            if (arguments[2].equals("csrattrs")) {
                showAttributes(service(arguments).getCSRAttributes());
                return;
            }
            Store<X509CertificateHolder> certificates =
                arguments[2].equals("cacerts") ? service(arguments).getCACerts().getCertificateStore() : enroll(arguments);
            try (JcaPEMWriter writer = new JcaPEMWriter(new OutputStreamWriter(System.out))) {
                for (X509CertificateHolder certificate : certificates.getMatches(null)) {
                    writer.writeObject(certificate);
                }
            }
        } catch (ESTException refused) {
            System.err.println("status " + refused.getStatusCode() + ": " + refused.getMessage());
            System.exit(1);
        }
    }

    private static void showAttributes(CSRRequestResponse response) throws IOException {
        if (response.hasAttributesResponse()) {
            for (ASN1ObjectIdentifier wanted : response.getAttributesResponse().getRequirements()) {
                System.out.println(wanted.getId());
            }
        }
    }

    private static Store<X509CertificateHolder> enroll(String[] arguments) throws Exception {
        PKCS10CertificationRequest request = new PKCS10CertificationRequest(Files.readAllBytes(Path.of(arguments[3])));
        boolean again = arguments[2].equals("simplereenroll");
        boolean made = arguments[2].equals("serverkeygen");
        EnrollmentResponse response;
        if (LINK_KEY != null) {
            PKCS10CertificationRequestBuilder linked =
                new PKCS10CertificationRequestBuilder(request.getSubject(), request.getSubjectPublicKeyInfo());
            response = service(arguments).simpleEnrollPoP(
                again, linked, new JcaContentSignerBuilder("SHA256withECDSA").build(linkKey()), account());
        } else if (made) {
            response = service(arguments).simpleEnrollWithServersideCreation(request, account());
        } else {
            response = service(arguments).simpleEnroll(again, request, account());
        }
        if (!response.isCompleted()) {
            throw new IllegalStateException("the server put the request off");
        }
        if (made) {
            Files.write(Path.of(arguments[5]), response.getPrivateKeyInfo().getEncoded());
        }
        return response.getStore();
    }

    private static PrivateKey linkKey() throws Exception {
        try (PEMParser parser = new PEMParser(new FileReader(LINK_KEY))) {
            Object key = parser.readObject();
            JcaPEMKeyConverter converter = new JcaPEMKeyConverter();
            return key instanceof PEMKeyPair
                ? converter.getKeyPair((PEMKeyPair) key).getPrivate()
                : converter.getPrivateKey((org.bouncycastle.asn1.pkcs.PrivateKeyInfo) key);
        }
    }

    private static ESTAuth account() throws Exception {
        String user = System.getenv("EST_USER");
        if (user == null) {
            return null;
        }
        DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().build();
        char[] password = System.getenv("EST_PASSWORD").toCharArray();
        return new HttpAuth(null, user, password, new SecureRandom(), digests);
    }

    private static ESTService service(String[] arguments) throws Exception {
        X509CertificateHolder anchor;
        try (PEMParser parser = new PEMParser(new FileReader(arguments[1]))) {
            anchor = (X509CertificateHolder) parser.readObject();
        }
        Set<TrustAnchor> anchors =
            Collections.singleton(new TrustAnchor(new JcaX509CertificateConverter().getCertificate(anchor), null));
        JsseESTServiceBuilder builder =
            new JsseESTServiceBuilder(arguments[0], JcaJceUtils.getCertPathTrustManager(anchors, null));
        builder.withHostNameAuthorizer(new JsseDefaultHostnameAuthorizer(Collections.emptySet()));
        builder.withTimeout(20_000);
        if (System.getenv("EST_LABEL") != null) {
            builder.withLabel(System.getenv("EST_LABEL"));
        }
        if (LINK_KEY != null) {
            builder.withProvider(BouncyCastleJsseProvider.PROVIDER_NAME);
            builder.withTLSVersion("TLSv1.2");
            builder.withChannelBindingProvider(new TlsUnique());
        }
        if (arguments.length > 4) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (FileInputStream file = new FileInputStream(arguments[4])) {
                store.load(file, PASSWORD);
            }
            KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            factory.init(store, PASSWORD);
            builder.withKeyManagers(factory.getKeyManagers());
        }
        return builder.build();
    }

    /** The binding of a connection, as Bouncy Castle's TLS tells it. */
    private static final class TlsUnique implements ChannelBindingProvider {
        @Override
        public boolean canAccessChannelBinding(Socket socket) {
            return socket instanceof BCSSLSocket;
        }

        @Override
        public byte[] getChannelBinding(Socket socket, String binding) {
            return ((BCSSLSocket) socket).getConnection().getChannelBinding(binding);
        }
    }
}
