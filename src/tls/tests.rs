//! Handshakes in memory, against rustls' own client with whatever certificate a test gives it.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SignatureScheme, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::est::ChannelBinding;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A server, and the certificate to trust it by.
struct Fixture {
    config: Arc<ServerConfig>,
    root: CertificateDer<'static>,
}

fn server_pem() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["est.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Fixture {
    fn new(settings: TlsSettings) -> Self {
        let (certificate, key) = server_pem();
        let certificate = ServerCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let root = CertificateDer::from(certificate.leaf().der().to_vec());
        let config = server_config(&settings, Arc::new(ReloadableCertificate::new(&certificate))).unwrap();
        Self { config, root }
    }

    fn client(&self, version: &'static SupportedProtocolVersion, identity: Option<Identity>) -> ClientConfig {
        self.client_of(default_provider(), version, identity)
    }

    /// A client that knows its own bindings.
    fn recording_client(&self, version: &'static SupportedProtocolVersion, identity: Option<Identity>) -> ClientConfig {
        let cipher_suites = channel_binding::recorded_suites();
        self.client_of(CryptoProvider { cipher_suites, ..default_provider() }, version, identity)
    }

    fn client_of(
        &self,
        provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
        identity: Option<Identity>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(identity)),
            None => builder.with_no_client_auth(),
        }
    }

    /// Both ends after the handshake, and after one octet each way, so that tickets have arrived.
    async fn handshake(
        &self,
        client: &Arc<ClientConfig>,
    ) -> Result<(client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>), std::io::Error> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("est.example").unwrap();
        let client = async {
            let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, near).await?;
            stream.write_u8(1).await?;
            stream.read_u8().await?;
            Ok::<_, std::io::Error>(stream)
        };
        let server = async {
            let mut stream = TlsAcceptor::from(Arc::clone(&self.config)).accept(far).await?;
            stream.read_u8().await?;
            stream.write_u8(2).await?;
            Ok::<_, std::io::Error>(stream)
        };
        let (client, server) = tokio::join!(client, server);
        // What the server saw comes first: a client may learn of a failure by its alert alone.
        let server = server?;
        Ok((client?, server))
    }
}

/// A certificate that is presented whatever it is, and the key to sign with.
#[derive(Debug, Clone)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        assert!(hints.is_empty(), "no CA names are sent");
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Identity {
    fn new(certificate: Vec<u8>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = any_supported_type(&key).unwrap();
        Self(Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], key)))
    }

    fn with(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        change(&mut params);
        Self::new(params.self_signed(key).unwrap().der().to_vec(), key)
    }

    fn leaf(&self) -> &[u8] {
        &self.0.cert[0]
    }
}

/// The certificate as version 1: without its version and extensions, hence with a signature that no longer fits.
fn version_1(der: &[u8]) -> Vec<u8> {
    let certificate = estd_asn1::Certificate::decode(der).unwrap();
    let (mut content, mut fields) = (Vec::new(), body(certificate.tbs_der()));
    while !fields.is_empty() {
        let (field, rest) = fields.split_at(length(fields));
        if !matches!(field[0], 0xa0 | 0xa3) {
            content.extend_from_slice(field);
        }
        fields = rest;
    }
    assert!(content.len() >= 0x80, "the length below is minimal");
    let mut tbs = vec![0x30, 0x81, u8::try_from(content.len()).unwrap()];
    tbs.extend(content);
    let whole = estd_asn1::certificate::encode_certificate(&tbs, certificate.signature_algorithm(), &[0; 8]);
    assert_eq!(estd_asn1::Certificate::decode(&whole).unwrap().version(), 1);
    whole
}

fn header(tlv: &[u8]) -> (usize, usize) {
    match tlv[1] {
        0x82 => (4, usize::from(tlv[2]) << 8 | usize::from(tlv[3])),
        0x81 => (3, usize::from(tlv[2])),
        short => (2, usize::from(short)),
    }
}

fn body(tlv: &[u8]) -> &[u8] {
    &tlv[header(tlv).0..]
}

fn length(tlv: &[u8]) -> usize {
    let (head, body) = header(tlv);
    head + body
}

#[tokio::test]
async fn no_certificate_is_no_obstacle() {
    let fixture = Fixture::new(TlsSettings::default());
    for version in VERSIONS {
        let client = Arc::new(fixture.client(version, None));
        let (_, server) = fixture.handshake(&client).await.unwrap();
        assert!(presented_chain(server.get_ref().1).is_none());
    }
}

#[tokio::test]
async fn every_kind_of_key_proves_possession() {
    let fixture = Fixture::new(TlsSettings::default());
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let identity = Identity::with(&key, |_| {});
        for version in VERSIONS {
            let client = Arc::new(fixture.client(version, Some(identity.clone())));
            let (_, server) = fixture.handshake(&client).await.unwrap();
            assert_eq!(presented_chain(server.get_ref().1).unwrap().leaf(), identity.leaf(), "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_no_path_could_lead_through_proves_possession_too() {
    let fixture = Fixture::new(TlsSettings::default());
    let key = KeyPair::generate().unwrap();
    let plain = Identity::with(&key, |_| {});
    let identities = [
        Identity::with(&key, |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1)),
        Identity::with(&key, |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1)),
        Identity::with(&key, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        Identity::with(&key, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        Identity::with(&key, |params| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 7], vec![5, 0]);
            unknown.set_criticality(true);
            params.custom_extensions = vec![unknown];
        }),
        // More extensions than are let in.
        Identity::with(&key, |params| {
            let extension = |arc| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, arc], vec![5, 0]);
            params.custom_extensions = (0..100).map(extension).collect();
        }),
        Identity::new(version_1(plain.leaf()), &key),
    ];
    for identity in identities {
        for version in VERSIONS {
            let client = Arc::new(fixture.client(version, Some(identity.clone())));
            let (_, server) = fixture.handshake(&client).await.unwrap();
            assert_eq!(presented_chain(server.get_ref().1).unwrap().leaf(), identity.leaf());
        }
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_fails_the_handshake() {
    let fixture = Fixture::new(TlsSettings::default());
    let (owner, thief) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let other_kind = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let stolen = Identity::with(&owner, |_| {}).leaf().to_vec();
    let identities = [
        Identity::new(stolen.clone(), &thief),
        Identity::new(stolen, &other_kind),
        Identity::new(vec![0x30, 0], &thief),
    ];
    for identity in identities {
        for version in VERSIONS {
            let client = Arc::new(fixture.client(version, Some(identity.clone())));
            assert!(fixture.handshake(&client).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_the_clients_certificate() {
    let fixture = Fixture::new(TlsSettings::default());
    let identity = Identity::with(&KeyPair::generate().unwrap(), |_| {});
    for version in VERSIONS {
        let client = Arc::new(fixture.client(version, Some(identity.clone())));
        fixture.handshake(&client).await.unwrap();
        let (_, server) = fixture.handshake(&client).await.unwrap();
        assert_eq!(server.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
        assert_eq!(presented_chain(server.get_ref().1).unwrap().leaf(), identity.leaf());
    }
}

#[tokio::test]
async fn versions_are_as_configured() {
    let fixture = Fixture::new(TlsSettings::default());
    for (offered, name) in [(&version::TLS12, "1.2"), (&version::TLS13, "1.3")] {
        let (_, server) = fixture.handshake(&Arc::new(fixture.client(offered, None))).await.unwrap();
        assert_eq!(protocol(server.get_ref().1), name);
    }
    let modern = Fixture::new(TlsSettings { min_version: MinimumVersion::Tls13, ..TlsSettings::default() });
    assert!(modern.handshake(&Arc::new(modern.client(&version::TLS12, None))).await.is_err());
    assert!(modern.handshake(&Arc::new(modern.client(&version::TLS13, None))).await.is_ok());
}

#[tokio::test]
async fn http_1_1_is_the_only_protocol() {
    let fixture = Fixture::new(TlsSettings::default());
    let mut client = fixture.client(&version::TLS13, None);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (_, server) = fixture.handshake(&Arc::new(client.clone())).await.unwrap();
    assert_eq!(server.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    client.alpn_protocols = vec![b"h2".to_vec()];
    let error = fixture.handshake(&Arc::new(client)).await.unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<rustls::Error>().unwrap().clone();
    assert!(matches!(
        error,
        rustls::Error::NoApplicationProtocol | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
    ));
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_from_the_next_handshake_on() {
    let [old, new] = [server_pem(), server_pem()]
        .map(|(certificate, key)| ServerCertificate::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap());
    let shown = Arc::new(ReloadableCertificate::new(&old));
    let config = server_config(&TlsSettings::default(), Arc::clone(&shown) as Arc<dyn ResolvesServerCert>).unwrap();
    let fixture = Fixture { config, root: CertificateDer::from(new.leaf().der().to_vec()) };
    let client = Arc::new(fixture.client(&version::TLS13, None));
    assert!(fixture.handshake(&client).await.is_err());
    shown.replace(&new);
    assert!(fixture.handshake(&client).await.is_ok());
}

#[test]
fn a_server_certificate_that_clients_would_refuse_is_refused() {
    let key = KeyPair::generate().unwrap();
    let other = KeyPair::generate().unwrap();
    let load = |names: &[&str], usages: &[ExtendedKeyUsagePurpose], key_pem: &KeyPair| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = usages.to_vec();
        let certificate = params.self_signed(&key).unwrap().pem();
        ServerCertificate::from_pem(certificate.as_bytes(), key_pem.serialize_pem().as_bytes())
    };
    let serving = [ExtendedKeyUsagePurpose::ServerAuth];
    assert!(load(&["est.example"], &serving, &key).is_ok());
    assert!(matches!(load(&["est.example"], &serving, &other), Err(ServerCertificateError::KeyMismatch)));
    assert!(matches!(load(&["est.example"], &[], &key), Err(ServerCertificateError::NotForServers)));
    let client_only = [ExtendedKeyUsagePurpose::ClientAuth];
    assert!(matches!(load(&["est.example"], &client_only, &key), Err(ServerCertificateError::NotForServers)));
    assert!(matches!(load(&[], &serving, &key), Err(ServerCertificateError::NoNames)));
    let pem = key.serialize_pem();
    assert!(matches!(ServerCertificate::from_pem(b"", pem.as_bytes()), Err(ServerCertificateError::Empty)));
    let (certificate, _) = server_pem();
    let no_key = ServerCertificate::from_pem(certificate.as_bytes(), b"");
    assert!(matches!(no_key, Err(ServerCertificateError::KeyPem(_))));
}

/// Both ends of a handshake, each with the binding as it has it.
async fn bound(fixture: &Fixture, client: &Arc<ClientConfig>) -> (HandshakeKind, [ChannelBinding; 2]) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from("est.example").unwrap();
    let client = channel_binding::testing::as_client(
        async { TlsConnector::from(Arc::clone(client)).connect(name, near).await.unwrap() },
        |stream| stream.get_ref().1,
    );
    let acceptor = TlsAcceptor::from(Arc::clone(&fixture.config));
    let ((mut client, of_client), accepted) = tokio::join!(client, accept(&acceptor, far));
    let (mut server, of_server) = accepted.unwrap();
    // One octet each way, so that tickets have arrived.
    server.write_u8(1).await.unwrap();
    client.read_u8().await.unwrap();
    (server.get_ref().1.handshake_kind().unwrap(), [of_client.unwrap(), of_server.unwrap()])
}

#[tokio::test]
async fn both_ends_have_the_same_binding_and_each_connection_its_own() {
    let fixture = Fixture::new(TlsSettings::default());
    let key = KeyPair::generate().unwrap();
    for version in VERSIONS {
        let client = Arc::new(fixture.recording_client(version, Some(Identity::with(&key, |_| ()))));
        let mut seen = Vec::new();
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let (kind, [of_client, of_server]) = bound(&fixture, &client).await;
            assert_eq!(kind, expected, "{version:?}");
            assert_eq!(of_client, of_server, "{version:?}, {kind:?}");
            assert_eq!(of_server.name(), if *version == version::TLS12 { "tls-unique" } else { "tls-exporter" });
            assert!(!seen.contains(&of_server), "a binding is of one connection");
            seen.push(of_server);
        }
    }
}

#[tokio::test]
async fn handshakes_at_the_same_time_keep_their_bindings_apart() {
    let fixture = Arc::new(Fixture::new(TlsSettings::default()));
    let mut handshakes = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let fixture = Arc::clone(&fixture);
        handshakes.spawn(async move {
            let client = Arc::new(fixture.recording_client(&version::TLS12, None));
            bound(&fixture, &client).await.1
        });
    }
    for [of_client, of_server] in handshakes.join_all().await {
        assert_eq!(of_client, of_server);
    }
}

/// RFC 7030 section 4.4: what TLS alone protects is told how well.
#[tokio::test]
async fn the_strength_of_the_cipher_is_known_and_the_strong_ones_can_come_first() {
    for (strong_ciphers_first, expected) in [(false, 128), (true, 256)] {
        let fixture = Fixture::new(TlsSettings { strong_ciphers_first, ..TlsSettings::default() });
        for version in VERSIONS {
            let client = Arc::new(fixture.client(version, None));
            let (_, server) = fixture.handshake(&client).await.unwrap();
            assert_eq!(cipher_strength(server.get_ref().1), Some(expected), "{version:?}");
        }
    }
    let known = cipher_suites().into_iter().all(|suite| strength(suite.suite()).is_some());
    assert!(known, "every cipher that is offered");
}
