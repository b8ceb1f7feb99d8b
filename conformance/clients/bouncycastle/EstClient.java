import java.io.FileInputStream;
import java.io.FileReader;
import java.io.OutputStreamWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.Security;
import java.security.cert.TrustAnchor;
import java.util.Collections;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.est.ESTAuth;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.ESTException;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.HttpAuth;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseDefaultHostnameAuthorizer;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.util.Store;

/**
 * Bouncy Castle's EST client as a command: HOST:PORT ANCHOR.pem OPERATION [REQUEST.der [IDENTITY.p12 [KEY.der]]].
 * Prints certificates in PEM, writes a key that the server made to KEY.der; ends with 1 and the server's sentence when it
 * is refused. EST_LABEL, EST_USER and EST_PASSWORD name a label and an account for Basic or Digest.
 */
public final class EstClient {
    private static final char[] PASSWORD = "changeit".toCharArray();

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        try {
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

    private static Store<X509CertificateHolder> enroll(String[] arguments) throws Exception {
        PKCS10CertificationRequest request = new PKCS10CertificationRequest(Files.readAllBytes(Path.of(arguments[3])));
        boolean again = arguments[2].equals("simplereenroll");
        boolean made = arguments[2].equals("serverkeygen");
        EnrollmentResponse response = made
            ? service(arguments).simpleEnrollWithServersideCreation(request, account())
            : service(arguments).simpleEnroll(again, request, account());
        if (!response.isCompleted()) {
            throw new IllegalStateException("the server put the request off");
        }
        if (made) {
            Files.write(Path.of(arguments[5]), response.getPrivateKeyInfo().getEncoded());
        }
        return response.getStore();
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
}
