import java.io.FileReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.Security;
import java.util.Collection;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1Primitive;
import org.bouncycastle.asn1.ASN1Sequence;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.KeyTransRecipientInformation;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceKEKEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.util.encoders.Hex;

/**
 * Opens the private key that an EST server made and encrypted: ENVELOPE.der HEX, with a shared key, or
 * ENVELOPE.der FILE.key (PEM), with a recipient's key. Prints the PrivateKeyInfo.
 */
public final class KeyOpener {
    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        CMSEnvelopedData enveloped = new CMSEnvelopedData(Files.readAllBytes(Path.of(arguments[0])));
        Collection<RecipientInformation> recipients = enveloped.getRecipientInfos().getRecipients();
        RecipientInformation information = recipients.iterator().next();
        byte[] content = information.getContent(recipient(information, arguments[1]));

        ContentInfo info = new ContentInfo(CMSObjectIdentifiers.signedData, ASN1Primitive.fromByteArray(content));
        CMSSignedData signed = new CMSSignedData(info);
        SignerInformation signer = signed.getSignerInfos().getSigners().iterator().next();
        Collection<X509CertificateHolder> signers = signed.getCertificates().getMatches(signer.getSID());
        if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().build(signers.iterator().next()))) {
            throw new IllegalStateException("the signature does not verify");
        }
        if (!signed.getSignedContentTypeOID().equals("2.16.840.1.101.2.1.2.78.5")) {
            throw new IllegalStateException("no AsymmetricKeyPackage: " + signed.getSignedContentTypeOID());
        }
        ASN1Sequence keys = ASN1Sequence.getInstance((byte[]) signed.getSignedContent().getContent());
        System.out.write(PrivateKeyInfo.getInstance(keys.getObjectAt(0)).getEncoded());
        System.out.flush();
    }

    private static Recipient recipient(RecipientInformation information, String key) throws Exception {
        if (!key.endsWith(".key")) {
            return new JceKEKEnvelopedRecipient(new SecretKeySpec(Hex.decode(key), "AES"));
        }
        PrivateKey privateKey;
        try (PEMParser parser = new PEMParser(new FileReader(key))) {
            privateKey = new JcaPEMKeyConverter().getPrivateKey((PrivateKeyInfo) parser.readObject());
        }
        return information instanceof KeyTransRecipientInformation
            ? new JceKeyTransEnvelopedRecipient(privateKey)
            : new JceKeyAgreeEnvelopedRecipient(privateKey);
    }
}
